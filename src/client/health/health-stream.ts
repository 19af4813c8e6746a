import type { Scheme } from '../../core/call.js';
import type { Transport } from '../../core/transport.js';
import { openServerStream, type ServerStreamListener } from '../grpc/server-stream.js';
import { decodeHealthResponse, encodeHealthRequest } from './health-message.js';
import { USER_AGENT } from './http-probe.js';

/** A response has two bytes, and may have fields that are not known here. */
const MAX_MESSAGE_BYTES = 4_096;

export interface HealthRequest {
  /** Of `grpc.health.v1.Health`. */
  readonly method: 'Check' | 'Watch';
  /** '' is the server as a whole. */
  readonly service: string;
  readonly authority: string;
  readonly scheme: Scheme;
  /** Milliseconds that the server is told; undefined: it is told none. Nobody counts them here. */
  readonly timeoutMs: number | undefined;
}

export interface HealthListener extends Pick<ServerStreamListener, 'ended' | 'draining'> {
  /** `ServingStatus` of a response. */
  message(status: number): void;
}

/** Asks for health on one stream. `ended` runs once, unless the result was called before: that cancels the stream, and nothing more is heard. */
export function openHealthStream(
  transport: Transport,
  { method, service, ...request }: HealthRequest,
  listener: HealthListener,
): () => void {
  const stream = {
    ...request,
    path: `/grpc.health.v1.Health/${method}`,
    message: encodeHealthRequest(service),
    maxMessageBytes: MAX_MESSAGE_BYTES,
    userAgent: USER_AGENT,
  };
  return openServerStream(transport, stream, {
    ...listener,
    message(bytes) {
      const status = decodeHealthResponse(bytes);
      if (status === undefined) return 'the response is no grpc.health.v1.HealthCheckResponse';
      listener.message(status);
      return undefined;
    },
  });
}
