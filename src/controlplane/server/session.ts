import type { ServerDuplexStream, ServerErrorResponse } from '@grpc/grpc-js';
import type { Clock } from '../../core/clock.js';
import type { Logger } from '../../core/log.js';
import { RESOURCE_TYPES, type ResourceType } from '../../core/resources.js';
import type { DiscoveryRequest, DiscoveryResponse } from '../../xds/wire/index.js';
import { shortType } from '../snapshot/consistency.js';
import type { Snapshot } from '../snapshot/snapshot.js';
import { ClientStream, type StreamResponse } from './client-stream.js';
import { type NodeInfo, nodeInfo, UNKNOWN_NODE } from './node-info.js';

export type AdsCall = ServerDuplexStream<DiscoveryRequest, DiscoveryResponse>;

export interface SessionOptions {
  readonly clock: Clock;
  readonly logger: Logger;
  /** `control_plane.identifier` of every response. */
  readonly identifier: string;
  /** Names that one client may ask for, of each type. */
  readonly maxNames: number;
  readonly holdMs: number;
  readonly warmingMs: number;
  readonly onClosed: () => void;
}

/** google.rpc.Code, as far as we use it. */
const INVALID_ARGUMENT = 3;
const NOT_FOUND = 5;
const RESOURCE_EXHAUSTED = 8;
const INTERNAL = 13;

/** One client's stream: between grpc-js's call and the ClientStream that knows what to send. */
export class Session {
  readonly stream: ClientStream;
  readonly peer: string;
  /** Wall time in milliseconds. */
  readonly connectedAt: number;
  #node: NodeInfo = UNKNOWN_NODE;
  #closed = false;

  constructor(
    private readonly call: AdsCall,
    private readonly options: SessionOptions,
  ) {
    this.peer = call.getPeer();
    this.connectedAt = options.clock.wallTime();
    const { clock, holdMs, warmingMs } = options;
    this.stream = new ClientStream({ clock, holdMs, warmingMs, send: (response) => this.#write(response) });
    call.on('data', (request: DiscoveryRequest) => this.#guarded(() => this.#request(request)));
    call.on('end', () => this.end());
    for (const event of ['cancelled', 'error', 'close'] as const) call.on(event, () => this.#closedBy(event));
  }

  get node(): NodeInfo {
    return this.#node;
  }

  target(snapshot: Snapshot): void {
    this.#guarded(() => this.stream.target(snapshot));
  }

  /** Ends the stream with OK, after what was written. */
  end(): void {
    if (this.#closed) return;
    this.call.end();
    this.#closedBy('end');
  }

  #request(request: DiscoveryRequest): void {
    const { logger, clock, maxNames } = this.options;
    if (request.node !== undefined && this.#node === UNKNOWN_NODE) this.#introduce(nodeInfo(request.node));
    const typeUrl = request.type_url ?? '';
    // "This is implicit in requests made via singleton xDS APIs such as CDS, LDS, etc. but is required for ADS." - discovery.proto
    if (typeUrl === '')
      return this.#refuse(
        INVALID_ARGUMENT,
        'type_url is missing: on an aggregated stream every request names its type',
      );
    const names = request.resource_names ?? [];
    if (names.length > maxNames) {
      return this.#refuse(
        RESOURCE_EXHAUSTED,
        `${names.length} resource names asked for, at most ${maxNames} are allowed`,
      );
    }
    const type = RESOURCE_TYPES.find((known) => known === typeUrl);
    if (type === undefined) {
      // An Envoy may ask for secrets or run-time layers on the same stream: it waits, and works with what it has.
      logger.debug('type is not served', { node: this.#node.id, peer: this.peer, type: typeUrl });
      return;
    }
    const error = request.error_detail && {
      code: request.error_detail.code ?? 0,
      message: request.error_detail.message ?? '',
    };
    const nonce = request.response_nonce ?? '';
    const outcome = this.stream.request(type, { names, nonce, error }, clock.wallTime());
    const log = outcome === 'rejected' ? logger.warn : logger.debug;
    log.call(logger, `client request: ${outcome}`, {
      ...this.#who(type),
      nonce,
      ...(outcome === 'rejected' ? { version: this.#rejectedVersion(type), detail: error?.message } : {}),
    });
  }

  #rejectedVersion(type: ResourceType): string | undefined {
    return this.stream.subscriptions.get(type)?.rejection?.version;
  }

  #introduce(node: NodeInfo): void {
    this.#node = node;
    this.options.logger.info('client connected', {
      node: node.id,
      cluster: node.cluster,
      userAgent: node.userAgent,
      peer: this.peer,
    });
  }

  #write({ type, version, nonce, resources, absent }: StreamResponse): void {
    if (this.#closed) return;
    this.call.write({
      version_info: version,
      type_url: type,
      nonce,
      resources: resources.map(({ bytes }) => ({ type_url: type, value: bytes })),
      control_plane: { identifier: this.options.identifier },
      // Spares clients that know gRFC A88 the 15 s for which all others wait before they believe it.
      ...(absent.length > 0 ? { resource_errors: absent.map((name) => notFound(type, name)) } : {}),
    });
    this.options.logger.debug('response sent', { ...this.#who(type), version, nonce, resources: resources.length });
  }

  #who(type: ResourceType): Record<string, unknown> {
    return { node: this.#node.id, peer: this.peer, type: shortType(type) };
  }

  /** Nothing that a client sends may do harm to others: what throws ends this stream alone. */
  #guarded(task: () => void): void {
    if (this.#closed) return;
    try {
      task();
    } catch (error) {
      this.options.logger.error('stream failed', { node: this.#node.id, peer: this.peer, error: String(error) });
      this.#refuse(INTERNAL, 'the control plane failed to serve this stream: see its log');
    }
  }

  #refuse(code: number, details: string): void {
    this.options.logger.warn('stream refused', { node: this.#node.id, peer: this.peer, details });
    const status: Partial<ServerErrorResponse> = { code, details };
    this.call.emit('error', status);
  }

  #closedBy(event: string): void {
    if (this.#closed) return;
    this.#closed = true;
    this.stream.close();
    this.options.logger.info('client disconnected', { node: this.#node.id, peer: this.peer, by: event });
    this.options.onClosed();
  }
}

const notFound = (type: ResourceType, name: string) => ({
  resource_name: { name },
  error_detail: { code: NOT_FOUND, message: `${shortType(type)} "${name}" does not exist in the configuration` },
});
