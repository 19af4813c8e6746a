import type { Clock } from '../../core/clock.js';
import { MeshClosedError } from '../../core/errors.js';
import type { Logger } from '../../core/log.js';
import type { Meter } from '../../core/meter.js';
import type { Random } from '../../core/random.js';
import {
  CLUSTER,
  LISTENER,
  RESOURCE_TYPES,
  type Resource,
  type ResourceType,
  type ResourceWatcher,
} from '../../core/resources.js';
import { serverKey, type XdsServer } from '../bootstrap/bootstrap.js';
import type { ResourceCache } from '../resource-cache.js';
import { type AdsMethod, adsService } from '../wire/ads.js';
import { type Codec, loadCodec } from '../wire/codec.js';
import type { DiscoveryRequest, DiscoveryResponse } from '../wire/messages.js';
import { Cache, type DumpedResource } from './cache.js';
import { Connection, type ConnectionOwner } from './kept-stream.js';
import { grpcTransport } from './grpc-transport.js';
import { Ready } from './ready.js';
import { refusal, type ResourceDecoder, unpack, type Unpacked } from './response.js';
import { Subscription } from './subscription.js';
import type { ServerTransport } from './transport.js';

export interface AdsClientOptions {
  readonly server: XdsServer;
  /** `envoy.config.core.v3.Node`, sent with the first request of each stream. */
  readonly node: Resource;
  readonly decoders: Readonly<Record<ResourceType, ResourceDecoder>>;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly meter: Meter;
  /** How streams are opened. Default: grpc-js, loaded at the first watch. */
  readonly transport?: (server: XdsServer) => Promise<ServerTransport>;
}

interface Wire {
  readonly codec: Codec;
  readonly method: AdsMethod;
}

/** "each response is the full set; absence means deletion": of these types only. */
const FULL_SET: ReadonlySet<string> = new Set([LISTENER, CLUSTER]);

/**
 * The xDS client: state of the world, aggregated, one stream to one server (Envoy, xds_protocol.rst; gRFC A27, A46, A57, A88). Keeps the
 * last good version of what is watched, and goes on with it when the server is gone. Knows nothing of what resources mean.
 */
export class AdsClient implements ResourceCache {
  readonly #subscriptions: ReadonlyMap<string, Subscription>;
  readonly #cache: Cache;
  readonly #connection: Connection;
  readonly #ready = new Ready();
  /** ACKs and NACKs of this stream that wait to be sent. At most one a response, and the next is read when it is gone. */
  #answers: DiscoveryRequest[] = [];
  /** Loaded before the first stream is opened. */
  #wire: Wire | undefined;
  #settling = false;
  #connected = false;
  #closed = false;

  constructor(private readonly options: AdsClientOptions) {
    this.#subscriptions = new Map(RESOURCE_TYPES.map((type) => [type, new Subscription(type)]));
    this.#cache = new Cache(options);
    this.#connection = new Connection(() => this.#load(), this.#owner(), options.clock, options.random);
  }

  /** Resolves when the first connection to the server stands; rejects when `close` comes before. Opens the stream if need be. */
  ready(): Promise<void> {
    if (!this.#closed) this.#connection.start();
    return this.#ready.promise;
  }

  watch(type: ResourceType, name: string, watcher: ResourceWatcher): () => void {
    if (this.#closed) {
      watcher.failed(new MeshClosedError(), 'unreachable');
      return () => {};
    }
    const stop = this.#cache.watch(type, name, watcher);
    this.#connection.start();
    this.#settleSoon();
    return () => {
      stop();
      this.#settleSoon();
    };
  }

  /** What is cached, for people: one line per resource that is watched. */
  dump(): readonly DumpedResource[] {
    return this.#cache.dump();
  }

  /** Ends the stream, every watch and every timer. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#connection.close();
    this.#cache.close();
    this.#ready.fail(new MeshClosedError());
  }

  async #load(): Promise<ServerTransport> {
    const { server, transport = grpcTransport } = this.options;
    const [codec, open] = await Promise.all([loadCodec(), transport(server)]);
    this.#wire ??= { codec, method: adsService(codec).StreamAggregatedResources };
    return open;
  }

  /** Names come and go many at a time: the server is told once, after the caller is done. */
  #settleSoon(): void {
    if (this.#settling || this.#closed) return;
    this.#settling = true;
    queueMicrotask(() => {
      if (this.#closed) return;
      this.#settle();
      this.#connection.pump();
    });
  }

  #settle(): void {
    this.#settling = false;
    this.#cache.settle((type, name, wanted) => {
      const subscription = this.#subscriptions.get(type);
      if (wanted) subscription?.add(name);
      else subscription?.remove(name);
    });
  }

  #owner(): ConnectionOwner {
    const { server, logger, meter, node } = this.options;
    return {
      opened: () => {
        this.#answers = [];
        for (const subscription of this.#subscriptions.values()) subscription.streamOpened();
      },
      connected: () => {
        this.#connected = true;
        logger.info('connected to the control plane', { server: server.uri });
        meter.event({ kind: 'xds:connected', server: server.uri });
        this.#ready.succeed();
      },
      nextRequest: () => this.#answers.shift() ?? this.#nextSubscription(),
      encode: (request, first) => this.#loaded().method.requestSerialize(first ? { ...request, node } : request),
      written: (request) => this.#cache.asked(request.type_url as ResourceType, request.resource_names ?? []),
      received: (bytes, live) => this.#received(bytes, live),
      ended: (details, failed) => this.#ended(details, failed),
    };
  }

  #nextSubscription(): DiscoveryRequest | undefined {
    for (const subscription of this.#subscriptions.values()) if (subscription.pending) return subscription.request();
    return undefined;
  }

  #loaded(): Wire {
    if (this.#wire === undefined) throw new Error('the codec is loaded before a stream is opened');
    return this.#wire;
  }

  #ended(details: string, failed: boolean): void {
    const { server, logger, meter } = this.options;
    this.#cache.streamEnded();
    if (this.#connected) meter.event({ kind: 'xds:disconnected', server: server.uri, detail: details });
    this.#connected = false;
    // "we do not consider it an error if the ADS stream was closed after having received a response" - A57
    if (!failed) {
      logger.debug('the control plane ended its stream', { server: server.uri, details });
      return;
    }
    logger.warn('the control plane cannot be reached; what is cached stays in use', { server: server.uri, details });
    this.#cache.unreachable(`control plane ${server.uri}: ${details}`);
  }

  #received(bytes: Uint8Array, live: () => boolean): Promise<void> {
    const { codec, method } = this.#loaded();
    const response = method.responseDeserialize(bytes as Buffer);
    const subscription = this.#subscriptions.get(response.type_url ?? '');
    if (subscription === undefined || !subscription.asked) {
      this.options.logger.warn('the control plane sent a type that was not asked for', { type: response.type_url });
      return Promise.resolve();
    }
    return this.#process(codec, response, subscription, live);
  }

  async #process(
    codec: Codec,
    response: DiscoveryResponse,
    subscription: Subscription,
    live: () => boolean,
  ): Promise<void> {
    const { type } = subscription;
    const unpacked = await unpack(response, {
      codec,
      decode: this.options.decoders[type],
      clock: this.options.clock,
      type,
      origin: { server: serverKey(this.options.server), trusted: this.options.server.features.trusted },
      wanted: (name) => this.#cache.has(type, name),
      cachedDigest: (name) => this.#cache.digest(type, name),
    });
    if (this.#closed) return;
    const changed = this.#cache.apply(type, unpacked, response.resource_errors ?? [], FULL_SET.has(type));
    if (changed > 0) this.options.meter.event({ kind: 'xds:update', type: shortName(type), resources: changed });
    this.#settle();
    this.#answer(response, subscription, unpacked, live());
  }

  #answer(response: DiscoveryResponse, subscription: Subscription, unpacked: Unpacked, live: boolean): void {
    const { version_info: version = '', nonce = '' } = response;
    const detail = refusal(unpacked);
    if (detail !== undefined) {
      const type = shortName(subscription.type);
      this.options.logger.warn('resources of the control plane are refused', { type, version, detail });
      this.options.meter.event({ kind: 'xds:nack', type, detail });
      if (live) this.#answers.push(subscription.rejected(nonce, detail));
    } else if (live) this.#answers.push(subscription.accepted(version, nonce));
    else subscription.acceptedAfterStream(version);
  }
}

const shortName = (typeUrl: string): string => typeUrl.slice(typeUrl.lastIndexOf('.') + 1);
