import type { ServerDuplexStream, ServerErrorResponse } from '@grpc/grpc-js';
import type { Clock } from '../../core/clock.js';
import type { Logger } from '../../core/log.js';
import { RESOURCE_TYPES, type ResourceType } from '../../core/resources.js';
import { shortType } from '../snapshot/consistency.js';
import type { Snapshot } from '../snapshot/snapshot.js';
import type { Wanted } from '../subscription/subscribe.js';
import { ClientStream, type StreamResponse } from './client-stream.js';
import { nodeProblem } from './node-identity.js';
import { type NodeInfo, nodeInfo, UNKNOWN_NODE } from './node-info.js';
import type { ReadRequest, Wording } from './wire.js';

export interface SessionOptions {
  readonly clock: Clock;
  readonly logger: Logger;
  /** `control_plane.identifier` of every response. */
  readonly identifier: string;
  /** The type whose own service was called; undefined: the aggregated one. */
  readonly only: ResourceType | undefined;
  /** Names that one client may ask for, of each type. */
  readonly maxNames: number;
  readonly holdMs: number;
  readonly warmingMs: number;
  /** SPIFFE ID of the certificate that the client showed; undefined: none. */
  readonly principal: string | undefined;
  /** The node must be who the certificate says that it is. */
  readonly checkNode: boolean;
  readonly onClosed: () => void;
}

/** google.rpc.Code, as far as we use it. */
const INVALID_ARGUMENT = 3;
const PERMISSION_DENIED = 7;
const RESOURCE_EXHAUSTED = 8;
const INTERNAL = 13;

/** One client's stream: between grpc-js's call and the ClientStream that knows what to send. */
export class Session {
  readonly stream: ClientStream;
  readonly peer: string;
  /** Wall time in milliseconds. */
  readonly connectedAt: number;
  readonly #options: SessionOptions;
  readonly #call: { end(): unknown; emit(event: 'error', status: Partial<ServerErrorResponse>): boolean };
  #node: NodeInfo = UNKNOWN_NODE;
  #closed = false;

  constructor(call: ServerDuplexStream<unknown, unknown>, wording: Wording<unknown, unknown>, options: SessionOptions) {
    const { clock, holdMs, warmingMs, identifier } = options;
    this.#call = call;
    this.#options = options;
    this.peer = call.getPeer();
    this.connectedAt = clock.wallTime();
    this.stream = new ClientStream({
      clock,
      holdMs,
      warmingMs,
      incremental: wording.incremental,
      send: (response) => {
        if (this.#closed) return;
        this.stream.pause();
        call.write(wording.write(response, identifier), () => this.#guarded(() => this.stream.resume()));
        this.#sent(response);
      },
    });
    call.on('data', (request) => this.#guarded(() => this.#request(wording.read(request))));
    call.on('end', () => this.end());
    for (const event of ['cancelled', 'error', 'close'] as const) call.on(event, () => this.#closedBy(event));
  }

  get principal(): string | undefined {
    return this.#options.principal;
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
    this.#call.end();
    this.#closedBy('end');
  }

  #request({ node, typeUrl, ...request }: ReadRequest): void {
    const { logger, clock } = this.#options;
    if (node !== undefined && this.#node === UNKNOWN_NODE && !this.#introduce(nodeInfo(node))) return;
    const type = this.#type(typeUrl);
    if (type === undefined || this.#isTooMuch(namesIn(request.wanted))) return;
    const outcome = this.stream.request(type, request, clock.wallTime());
    const subscription = this.stream.subscriptions.get(type);
    // In the incremental protocol each request adds to those before.
    if (this.#isTooMuch(subscription?.size ?? 0)) return;
    const log = outcome === 'rejected' ? logger.warn : logger.debug;
    log.call(logger, `client request: ${outcome}`, {
      ...this.#who(type),
      nonce: request.nonce,
      ...(outcome === 'rejected' ? { version: subscription?.rejection?.version, detail: request.error?.message } : {}),
    });
  }

  /** The type that a request is about; undefined when it is not served, or the stream was refused. */
  #type(typeUrl: string): ResourceType | undefined {
    const { only, logger } = this.#options;
    // "This is implicit in requests made via singleton xDS APIs such as CDS, LDS, etc. but is required for ADS." - discovery.proto
    if (only !== undefined) {
      if (typeUrl === '' || typeUrl === only) return only;
      this.#refuse(INVALID_ARGUMENT, `type_url is ${typeUrl}: this stream is of ${only} alone`);
      return undefined;
    }
    if (typeUrl === '') {
      this.#refuse(INVALID_ARGUMENT, 'type_url is missing: on an aggregated stream every request names its type');
      return undefined;
    }
    const type = RESOURCE_TYPES.find((known) => known === typeUrl);
    // An Envoy may ask for secrets or run-time layers on the same stream: it waits, and works with what it has.
    if (type === undefined) logger.debug('type is not served', { node: this.#node.id, peer: this.peer, type: typeUrl });
    return type;
  }

  #isTooMuch(names: number): boolean {
    const { maxNames } = this.#options;
    if (names <= maxNames) return false;
    this.#refuse(RESOURCE_EXHAUSTED, `${names} resource names asked for, at most ${maxNames} are allowed`);
    return true;
  }

  /** False: it may not be who it says, and was refused. */
  #introduce(node: NodeInfo): boolean {
    const { principal, checkNode } = this.#options;
    this.#node = node;
    const problem = checkNode && principal !== undefined ? nodeProblem(node, principal) : undefined;
    if (problem !== undefined) {
      this.#refuse(PERMISSION_DENIED, problem);
      return false;
    }
    this.#options.logger.info('client connected', {
      node: node.id,
      cluster: node.cluster,
      userAgent: node.userAgent,
      peer: this.peer,
      ...(principal !== undefined && { principal }),
    });
    return true;
  }

  #sent({ type, version, nonce, resources }: StreamResponse): void {
    const { logger } = this.#options;
    logger.debug('response sent', { ...this.#who(type), version, nonce, resources: resources.length });
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
      this.#options.logger.error('stream failed', { node: this.#node.id, peer: this.peer, error: String(error) });
      this.#refuse(INTERNAL, 'the control plane failed to serve this stream: see its log');
    }
  }

  #refuse(code: number, details: string): void {
    this.#options.logger.warn('stream refused', { node: this.#node.id, peer: this.peer, details });
    const status: Partial<ServerErrorResponse> = { code, details };
    this.#call.emit('error', status);
  }

  #closedBy(event: string): void {
    if (this.#closed) return;
    this.#closed = true;
    this.stream.close();
    this.#options.logger.info('client disconnected', { node: this.#node.id, peer: this.peer, by: event });
    this.#options.onClosed();
  }
}

function namesIn(wanted: Wanted): number {
  if ('names' in wanted) return wanted.names.length;
  const { subscribe, unsubscribe, versions } = wanted;
  return Math.max(subscribe.length, unsubscribe.length, Object.keys(versions).length);
}
