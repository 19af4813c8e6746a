import type { sendUnaryData, ServerUnaryCall, ServiceDefinition } from '@grpc/grpc-js';
import { RLS_METHOD, type RlsRequest, type RlsResponse } from '../../core/rls.js';
import { readRlsRequest, readRlsResponse } from '../../core/rls-read.js';
import { writeRlsRequest, writeRlsResponse } from '../../core/rls-write.js';

/** google.rpc.Code. */
export const INVALID_ARGUMENT = 3;
export const UNAVAILABLE = 14;

export interface Refusal {
  readonly code: number;
  readonly details: string;
}

/** The method of the service for grpc-js, with our own codec for its messages. */
export const rateLimitDefinition = {
  shouldRateLimit: {
    path: RLS_METHOD,
    requestStream: false,
    responseStream: false,
    requestSerialize: (message: RlsRequest) => asBuffer(writeRlsRequest(message)),
    requestDeserialize: (bytes: Buffer) => sound(readRlsRequest(bytes), 'RateLimitRequest'),
    responseSerialize: (message: RlsResponse) => asBuffer(writeRlsResponse(message)),
    responseDeserialize: (bytes: Buffer) => sound(readRlsResponse(bytes), 'RateLimitResponse'),
  },
} satisfies ServiceDefinition;

/** What `server.addService(rateLimitDefinition, …)` takes: `answer` throws or rejects with a `Refusal`. */
export const rateLimitImplementation = (answer: (request: RlsRequest) => Promise<RlsResponse>) => ({
  shouldRateLimit(call: ServerUnaryCall<RlsRequest, RlsResponse>, callback: sendUnaryData<RlsResponse>): void {
    answer(call.request).then(
      (response) => callback(null, response),
      ({ code, details }: Refusal) => callback({ code, details }),
    );
  },
});

function sound<T>(message: T | undefined, type: string): T {
  if (message === undefined) throw new Error(`these bytes are no ${type}, or it holds too much`);
  return message;
}

/** The same memory as the Buffer that grpc-js wants. */
const asBuffer = (bytes: Uint8Array): Buffer => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
