import type { ChannelOptions, Deadline } from '@grpc/grpc-js';
import type { Call as GrpcCall } from '@grpc/grpc-js/build/src/call-interface.js';
import type { Channel } from '@grpc/grpc-js/build/src/channel.js';
import type { ServerSurfaceCall } from '@grpc/grpc-js/build/src/server-call.js';
import type { Scheme } from '../../core/call.js';
import { CALL_POLICY_KEYS, type CallChoices, type CallPolicyOptions, readCallPolicy } from '../../core/call-policy.js';
import type { Clock } from '../../core/clock.js';
import { knownKeys, record } from '../../core/decode.js';
import type { Service } from '../../core/service.js';
import { dataPlaneAuthority, parseXdsTarget } from '../../core/xds-target.js';
import { MeshCall } from './call.js';
import { type Encoding, encodingOption } from './compression.js';
import { Connectivity, type ConnectivityState } from './connectivity.js';

/** Options of a client or channel: grpc-js's, and what holds for all its calls (docs/policies.md). */
export type MeshChannelOptions = Readonly<Partial<ChannelOptions>> & { readonly mesh?: CallPolicyOptions };

export interface MeshChannelEnv {
  readonly clock: Clock;
  /** `grpc.*` options as grpc-js has them; those about connections and name resolution are the mesh's business and not looked at. */
  readonly options?: MeshChannelOptions | undefined;
  /** Resolves when the mesh has its first configuration: the channel is READY then. Without it the channel is READY at once. */
  readonly ready?: Promise<void> | undefined;
  /** Paths of methods that may be called twice. Default none. */
  readonly idempotent?: ReadonlySet<string> | undefined;
  /** Whether calls travel under TLS, so that call credentials may be sent. Default false. */
  readonly secure?: boolean | undefined;
  /** Version of inmesh for the user agent. */
  readonly version?: string | undefined;
}

/** What is fixed when a call is made. */
export interface CallSettings {
  readonly path: string;
  /** Wall time in milliseconds; Infinity for none. */
  readonly deadline: number;
  readonly host: string | undefined;
  /** The server call that this one is made for, when its cancellation is to be passed on. */
  readonly parent: ServerSurfaceCall | undefined;
}

/** What calls need of their channel. */
export interface ChannelContext {
  readonly service: Service;
  readonly authority: string;
  /** `CallInit.target`. */
  readonly target: string | undefined;
  readonly scheme: Scheme;
  readonly secure: boolean;
  readonly clock: Clock;
  readonly userAgent: string;
  /** Bytes, -1 for no limit. */
  readonly maxReceiveBytes: number;
  readonly maxSendBytes: number;
  readonly encoding: Encoding;
  /** What the channel's owner says of retries, hedging and fallbacks of all its calls. */
  readonly choices: CallChoices | undefined;
  /** Paths of methods that may be called twice; undefined: none is known. */
  readonly idempotent: ReadonlySet<string> | undefined;
  /** `encoding`, or identity when the server has said that it does not read it. */
  accepted(encoding: Encoding): Encoding;
  /** Notes the server's `grpc-accept-encoding`. */
  peerAccepts(encodings: string | undefined): void;
}

/** "grpc.max_receive_message_length": 4 MiB in every gRPC library. */
const DEFAULT_MAX_RECEIVE_BYTES = 4_194_304;
/** grpc-js `propagate`: what a call takes over from the server call that it is made for. All of it by default. */
const PROPAGATE_DEADLINE = 1;
const PROPAGATE_CANCELLATION = 8;
const PROPAGATE_ALL = 0xffff;

let calls = 0;

/**
 * A channel for generated clients: `new ReviewsClient('reviews', credentials, { channelOverride: channel })`. Every call goes into the
 * mesh's service as an HTTP exchange; interceptors work as ever, they are above the channel.
 */
export class MeshChannel implements Channel, ChannelContext {
  readonly authority: string;
  readonly target: string | undefined;
  readonly clock: Clock;
  readonly scheme: Scheme;
  readonly secure: boolean;
  readonly userAgent: string;
  readonly maxReceiveBytes: number;
  readonly maxSendBytes: number;
  readonly encoding: Encoding;
  readonly idempotent: ReadonlySet<string> | undefined;
  readonly choices: CallChoices | undefined;
  readonly #connectivity: Connectivity;
  /** From the last reply that said so; undefined: everything is tried. */
  #peerEncodings: readonly string[] | undefined;
  #peerHeader: string | undefined;

  /** `given`: an authority, `reviews:8080`, or a gRPC target: `xds:///reviews:8080`, `xds://authority/reviews` (gRFC A47). */
  constructor(
    readonly service: Service,
    private readonly given: string,
    env: MeshChannelEnv,
  ) {
    const target = parseXdsTarget(given);
    // "the authority used for the data plane connections … will continue to be the path component of the xds URI" - A47
    this.authority = dataPlaneAuthority(target);
    this.target = target.xdsAuthority === undefined ? undefined : given;
    const options = env.options ?? {};
    this.clock = env.clock;
    this.idempotent = env.idempotent;
    this.choices = options.mesh === undefined ? undefined : choicesOf(options.mesh);
    this.secure = env.secure ?? false;
    this.scheme = this.secure ? 'https' : 'http';
    this.maxReceiveBytes = options['grpc.max_receive_message_length'] ?? DEFAULT_MAX_RECEIVE_BYTES;
    this.maxSendBytes = options['grpc.max_send_message_length'] ?? -1;
    this.encoding = encodingOption(options['grpc.default_compression_algorithm']);
    const own = env.version === undefined ? 'inmesh' : `inmesh/${env.version}`;
    this.userAgent = [options['grpc.primary_user_agent'], own, 'grpc-node', options['grpc.secondary_user_agent']]
      .filter((part) => part !== undefined && part !== '')
      .join(' ');
    this.#connectivity = new Connectivity(env.clock, env.ready);
  }

  createCall(
    method: string,
    deadline: Deadline,
    host: string | null | undefined,
    parentCall: ServerSurfaceCall | null,
    propagateFlags: number | null | undefined,
  ): GrpcCall {
    if (typeof method !== 'string') throw new TypeError('Channel#createCall: method must be a string');
    if (!(typeof deadline === 'number' || deadline instanceof Date)) {
      throw new TypeError('Channel#createCall: deadline must be a number or Date');
    }
    if (this.#connectivity.closed)
      throw new Error(`the channel to "${this.given}" was closed: make a new one with mesh.channel()`);
    const flags = propagateFlags ?? PROPAGATE_ALL;
    let until = Number(deadline);
    if (parentCall && flags & PROPAGATE_DEADLINE) until = Math.min(until, Number(parentCall.getDeadline()));
    const parent = parentCall && flags & PROPAGATE_CANCELLATION ? parentCall : undefined;
    return new MeshCall(this, { path: method, deadline: until, host: host ?? undefined, parent }, ++calls);
  }

  close(): void {
    this.#connectivity.close();
  }

  getTarget(): string {
    return this.given;
  }

  /** The mesh connects by itself, to many endpoints: READY means that it knows where calls can go. */
  getConnectivityState(_tryToConnect: boolean): ConnectivityState {
    return this.#connectivity.state;
  }

  watchConnectivityState(current: ConnectivityState, deadline: Date | number, callback: (error?: Error) => void): void {
    this.#connectivity.watch(current, Number(deadline), callback);
  }

  /** Not registered with grpc-js's channelz, which knows its own channels only. */
  getChannelzRef(): ReturnType<Channel['getChannelzRef']> {
    return { kind: 'channel', id: 0, name: this.given } as ReturnType<Channel['getChannelzRef']>;
  }

  accepted(encoding: Encoding): Encoding {
    return this.#peerEncodings === undefined || this.#peerEncodings.includes(encoding) ? encoding : 'identity';
  }

  peerAccepts(header: string | undefined): void {
    if (header === undefined || header === this.#peerHeader) return;
    this.#peerHeader = header;
    this.#peerEncodings = header.split(',').map((name) => name.trim());
  }
}

function choicesOf(given: CallPolicyOptions): CallChoices {
  knownKeys(record(given, 'options.mesh'), 'options.mesh', CALL_POLICY_KEYS);
  return readCallPolicy(given, 'options.mesh');
}
