import type { Clock } from '../../core/clock.js';
import { LastingTrouble } from '../../core/lasting-trouble.js';
import type { Logger } from '../../core/log.js';
import type { Random } from '../../core/random.js';
import { CLUSTER, LISTENER, RESOURCE_TYPES, type Resource, type ResourceType } from '../../core/resources.js';
import { runInSlices, Slices } from '../../core/steps.js';
import { serverKey, type ServerFeatures, type XdsServer } from '../bootstrap/bootstrap.js';
import { type Codec, loadCodec } from '../wire/codec.js';
import type { Cache } from './cache.js';
import type { CacheEntry } from './cache-entry.js';
import type { XdsMeter } from './events.js';
import type { Delivery } from './delivery.js';
import { DiscoveryStream, type StreamHost } from './discovery-stream.js';
import { ServerMetrics } from './metrics.js';
import type { Held } from './subscription/delta.js';
import type { Subscription } from './subscription/subscription.js';
import type { ServerConnections, ServerTransport } from './transport.js';
import { type ResourceDecoder, refusal, unpack } from './unpack.js';
import type { Source, Updates } from './updates.js';

/** What all sessions of a client share. */
export interface SessionParts {
  readonly connections: ServerConnections;
  /** `envoy.config.core.v3.Node`. */
  readonly node: Resource;
  readonly decoders: Readonly<Record<ResourceType, ResourceDecoder>>;
  readonly cache: Cache;
  readonly updates: Updates;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly meter: XdsMeter;
  /** What the client is for. */
  readonly scope: string;
}

/** Who decides what a session is for. */
export interface SessionOwner {
  connected(): void;
  /** A connectivity error (gRFC A57): of the streams that carry these types. */
  failed(session: ServerSession, types: ReadonlySet<ResourceType>, details: string): void;
  decides(session: ServerSession, entry: CacheEntry): boolean;
  judges(session: ServerSession, entry: CacheEntry): boolean;
  delivered(session: ServerSession, entry: CacheEntry, before: string | undefined): void;
  /** What watchers asked for while a response was taken over is to be told with its answer. */
  settle(): void;
}

/** "each response is the full set; absence means deletion": of these types only, and not in delta. */
const FULL_SET: ReadonlySet<ResourceType> = new Set([LISTENER, CLUSTER]);

/**
 * All that goes on with one xDS server: its streams, what is subscribed to on them, and how well it can be reached. Knows nothing of other
 * servers; who else is asked, and whose word counts, is its owner's business.
 */
export class ServerSession implements Source, StreamHost {
  readonly key: string;
  readonly uri: string;
  readonly features: ServerFeatures;
  readonly #streams = new Map<ResourceType, DiscoveryStream>();
  readonly #metrics: ServerMetrics;
  readonly isDelta: boolean;
  /** It was logged that the server does not know delta. */
  #toldOfDelta = false;
  #codec: Codec | undefined;
  /** The last connectivity error of each stream. Set by it, reset by the first response after it. */
  readonly #failures = new Map<DiscoveryStream, string>();
  readonly #outage: LastingTrouble;
  #isToldAway = false;
  /** It was told that the server is connected, and not yet that it is not. */
  #isUp = false;
  #closed = false;

  constructor(
    server: XdsServer,
    private readonly parts: SessionParts,
    private readonly owner: SessionOwner,
  ) {
    this.key = serverKey(server);
    this.uri = server.uri;
    this.features = server.features;
    this.isDelta = server.apiType === 'AGGREGATED_DELTA_GRPC' || server.apiType === 'DELTA_GRPC';
    const isAggregated = server.apiType === 'AGGREGATED_GRPC' || server.apiType === 'AGGREGATED_DELTA_GRPC';
    const all = isAggregated ? new DiscoveryStream(this, RESOURCE_TYPES, undefined) : undefined;
    for (const type of RESOURCE_TYPES) this.#streams.set(type, all ?? new DiscoveryStream(this, [type], type));
    this.#outage = new LastingTrouble(parts.clock);
    this.#metrics = new ServerMetrics(parts.meter, parts.scope, server.uri, () => this.isReachable);
  }

  get node(): Resource {
    return this.parts.node;
  }
  get clock(): Clock {
    return this.parts.clock;
  }
  get random(): Random {
    return this.parts.random;
  }
  get logger(): Logger {
    return this.parts.logger;
  }
  get codec(): Codec {
    if (this.#codec === undefined) throw new Error('the codec is loaded before a stream is opened');
    return this.#codec;
  }

  /** Nothing is known to be wrong with any of its streams. */
  get isReachable(): boolean {
    return this.#failures.size === 0;
  }

  /** Why the server cannot be reached on the stream that carries the type; undefined while nothing is known to be wrong. */
  failureOf(type: ResourceType): string | undefined {
    return this.#failures.get(this.#stream(type));
  }

  /** Opens a stream although nothing may be wanted yet. */
  connect(): void {
    this.#stream(LISTENER).start();
  }

  /** Told to the server at the next `flush`. */
  subscribe({ type, name }: CacheEntry): void {
    const stream = this.#stream(type);
    const subscription = stream.subscription(type);
    if (!subscription.names.has(name)) subscription.add(name);
    stream.start();
  }

  unsubscribe({ type, name, state }: CacheEntry): void {
    this.#stream(type)
      .subscription(type)
      .remove(name, state === 'DOES_NOT_EXIST');
  }

  /** The resource must be sent again, whatever the server thinks that the client has. */
  renew({ type, name }: CacheEntry): void {
    const subscription = this.#stream(type).subscription(type);
    if (subscription.names.has(name)) subscription.add(name);
  }

  forget(type: ResourceType): void {
    this.#stream(type).subscription(type).forget();
  }

  flush(): void {
    for (const stream of new Set(this.#streams.values())) stream.pump();
  }

  resetBackoff(): void {
    for (const stream of new Set(this.#streams.values())) stream.resetBackoff();
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    for (const stream of this.#streams.values()) stream.close();
    this.#down('not needed any more');
    this.#metrics.close();
  }

  async transport(): Promise<ServerTransport> {
    const [codec, transport] = await Promise.all([loadCodec(), this.parts.connections.transport(this.key)]);
    this.#codec = codec;
    return transport;
  }

  deltaUnknown(): void {
    if (this.#toldOfDelta) return;
    this.#toldOfDelta = true;
    const problem =
      'the control plane does not know delta: it is asked for the state of the world until the stream ends';
    this.logger.warn(problem, { server: this.uri });
  }

  held(type: ResourceType): Held {
    return (name) => {
      const arrival = this.parts.cache.get(type, name)?.arrival;
      return arrival?.server === this.key ? { name: arrival.resourceName, version: arrival.version } : undefined;
    };
  }

  connected(): void {
    if (!this.#isUp) {
      this.#isUp = true;
      this.logger.info('connected to the control plane', { server: this.uri });
      this.parts.meter.event({ kind: 'xds:connected', server: this.uri });
    }
    this.owner.connected();
  }

  ended(stream: DiscoveryStream, details: string, failed: boolean): void {
    const { updates } = this.parts;
    const types = new Set(stream.types);
    for (const entry of this.#entries(types)) if (this.decides(entry)) updates.stopWaiting(entry);
    if ([...this.#streams.values()].every((other) => other === stream || !other.isConnected)) this.#down(details);
    // "we do not consider it an error if the ADS stream was closed after having received a response" - A57
    if (!failed) {
      this.logger.debug('the control plane ended its stream', { server: this.uri, details });
      return;
    }
    if (this.isReachable) {
      this.#metrics.failed();
      this.#outage.over();
    }
    const problem = 'the control plane cannot be reached; what is cached stays in use';
    const isToTell = this.#outage.isToTell();
    this.#isToldAway ||= isToTell;
    const log = isToTell ? this.logger.warn : this.logger.debug;
    log.call(this.logger, problem, { server: this.uri, details });
    this.#failures.set(stream, details);
    this.owner.failed(this, types, details);
  }

  asked(type: ResourceType, names: readonly string[]): void {
    for (const name of names) {
      const entry = this.parts.cache.get(type, name);
      if (entry !== undefined && this.decides(entry)) this.parts.updates.asked(entry, this);
    }
  }

  async process(delivery: Delivery, subscription: Subscription): Promise<string | undefined> {
    const { cache, updates, decoders, meter } = this.parts;
    const { type } = subscription;
    const stream = this.#stream(type);
    this.#failures.delete(stream);
    // Who was told that it is away is told that it is not any more.
    if (this.#isToldAway) this.logger.warn('the control plane is heard of again', { server: this.uri });
    this.#isToldAway = false;
    const slices = new Slices(this.clock);
    const unpacking = unpack(delivery, {
      codec: this.codec,
      decode: decoders[type],
      type,
      origin: { server: this.key, trusted: this.features.trusted },
      wanted: (name) => subscription.names.has(name),
      cached: (name) => cache.get(type, name)?.arrival,
    });
    const unpacked = await runInSlices(unpacking, slices);
    if (this.#closed) return undefined;
    this.#metrics.received(type, unpacked);
    const absences = {
      errors: delivery.errors,
      removed: delivery.removed,
      complete: !delivery.isDelta && FULL_SET.has(type) ? subscription.names : undefined,
    };
    const changed = await runInSlices(updates.apply(type, unpacked, absences, this), slices);
    if (!this.#closed) await runInSlices(updates.contactRestored(stream.types, this), slices);
    if (this.#closed) return undefined;
    if (changed > 0) meter.event({ kind: 'xds:update', type: shortName(type), resources: changed });
    this.owner.settle();
    return this.#refusal(delivery, type, refusal(unpacked));
  }

  serves({ type, name }: CacheEntry): boolean {
    return !this.#closed && this.#stream(type).subscription(type).names.has(name);
  }

  decides(entry: CacheEntry): boolean {
    return this.serves(entry) && this.owner.decides(this, entry);
  }

  judges(entry: CacheEntry): boolean {
    return this.serves(entry) && this.owner.judges(this, entry);
  }

  delivered(entry: CacheEntry, before: string | undefined): void {
    this.owner.delivered(this, entry, before);
  }

  doubtfulUntil({ type, name }: CacheEntry): number | undefined {
    return this.#stream(type).subscription(type).doubtfulUntil(name);
  }

  #refusal({ version }: Delivery, type: ResourceType, detail: string | undefined): string | undefined {
    if (detail === undefined) return undefined;
    const kind = shortName(type);
    this.logger.warn('resources of the control plane are refused', { type: kind, version, detail });
    this.parts.meter.event({ kind: 'xds:nack', type: kind, detail });
    return detail;
  }

  *#entries(types: ReadonlySet<ResourceType>): Generator<CacheEntry> {
    for (const type of types) yield* this.parts.cache.all(type);
  }

  #down(detail: string): void {
    if (!this.#isUp) return;
    this.#isUp = false;
    this.parts.meter.event({ kind: 'xds:disconnected', server: this.uri, detail });
  }

  #stream(type: ResourceType): DiscoveryStream {
    return this.#streams.get(type) as DiscoveryStream;
  }
}

const shortName = (typeUrl: string): string => typeUrl.slice(typeUrl.lastIndexOf('.') + 1);
