import type { Clock } from '../../core/clock.js';
import type { Logger } from '../../core/log.js';
import type { Random } from '../../core/random.js';
import type { Resource, ResourceType } from '../../core/resources.js';
import { runInSlices, Slices } from '../../core/steps.js';
import { type DiscoveryMethods, discoveryMethods } from '../wire/ads.js';
import type { Codec } from '../wire/codec.js';
import { type Delivery, deltaDelivery, sotwDelivery } from './delivery.js';
import { KeptStream, type Outgoing, type StreamOwner } from './kept-stream.js';
import { DeltaSubscription, type Held } from './subscription/delta.js';
import { SotwSubscription } from './subscription/sotw.js';
import type { Subscription, TypeRequest } from './subscription/subscription.js';
import type { ServerTransport, StreamEnd } from './transport.js';

/** gRPC status of a method that the server does not have. */
const UNIMPLEMENTED = 12;
/** So many types that nobody asked for are logged for one stream, each once and clipped to so many characters. */
const MAX_STRAYS = 8;
const MAX_SHOWN_TYPE = 200;

/** What a stream needs of the session that it belongs to. */
export interface StreamHost {
  /** Sent with the first request of each stream. */
  readonly node: Resource;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  /** True: incremental, as far as the server knows that. */
  readonly isDelta: boolean;
  /** Loads what is needed, `codec` included. */
  transport(): Promise<ServerTransport>;
  readonly codec: Codec;
  /** The server answered that it does not know incremental streams. */
  deltaUnknown(): void;
  held(type: ResourceType): Held;
  connected(): void;
  ended(stream: DiscoveryStream, details: string, failed: boolean): void;
  /** These were asked for on a connection that stands. */
  asked(type: ResourceType, names: readonly string[]): void;
  /** Takes over a response; resolves with why it is refused, or undefined. */
  process(delivery: Delivery, subscription: Subscription): Promise<string | undefined>;
}

/** One discovery stream: aggregated, or of one type alone; state of the world, or incremental. */
export class DiscoveryStream implements StreamOwner {
  readonly #kept: KeptStream;
  readonly #subscriptions = new Map<ResourceType, Subscription>();
  /** ACKs and NACKs of this stream that wait to be sent. At most one a response, and the next is read when it is gone. */
  #answers: { readonly type: ResourceType; readonly request: TypeRequest }[] = [];
  #isDelta: boolean;
  /** The server does not know delta, it says. Set when it refuses a stream for that; reset at the end of the one that came in its place. */
  #deltaRefused = false;
  /**
   * It has answered in delta: who says that it does not know it is not the server, or not itself. A balancer whose servers are away answers
   * 404, which gRPC reads as UNIMPLEMENTED. Set for good.
   */
  #knowsDelta = false;
  /** The type of the response that is being dealt with: a change of names waits for its answer. */
  #processing: ResourceType | undefined;
  #isConnected = false;
  /** Types that came and were not asked for, as far as they were logged. */
  readonly #strays = new Set<string>();

  /** `only`: the type whose own service it uses; undefined: aggregated. */
  constructor(
    private readonly host: StreamHost,
    readonly types: readonly ResourceType[],
    private readonly only: ResourceType | undefined,
  ) {
    this.#isDelta = host.isDelta;
    for (const type of types) this.#subscriptions.set(type, this.#newSubscription(type));
    this.#kept = new KeptStream(() => host.transport(), this, host.clock, host.random);
  }

  get isConnected(): boolean {
    return this.#isConnected;
  }

  subscription(type: ResourceType): Subscription {
    const subscription = this.#subscriptions.get(type);
    if (subscription === undefined) throw new Error(`this stream does not carry ${type}`);
    return subscription;
  }

  start(): void {
    this.#kept.start();
  }

  pump(): void {
    this.#kept.pump();
  }

  resetBackoff(): void {
    this.#kept.resetBackoff();
  }

  close(): void {
    this.#kept.close();
  }

  opening(): string {
    const isDelta = this.host.isDelta && !this.#deltaRefused;
    if (this.#isDelta !== isDelta) this.#changeProtocol(isDelta);
    this.#answers = [];
    for (const subscription of this.#subscriptions.values()) subscription.streamOpened();
    return (this.#isDelta ? this.#methods.delta : this.#methods.stream).path;
  }

  connected(): void {
    this.#isConnected = true;
    this.host.connected();
  }

  next(first: boolean): Outgoing | undefined {
    const next = this.#answers.shift() ?? this.#nextChange();
    if (next === undefined) return undefined;
    const { type, request } = next;
    const message = first ? { ...request.message, node: this.host.node } : request.message;
    const method = this.#isDelta ? this.#methods.delta : this.#methods.stream;
    return {
      bytes: method.requestSerialize(message),
      written: () => this.host.asked(type, request.names),
    };
  }

  async received(bytes: Uint8Array, live: () => boolean, understood: () => void): Promise<void> {
    const { codec, clock } = this.host;
    const isDelta = this.#isDelta;
    const read = isDelta ? deltaDelivery : sotwDelivery;
    const delivery = await runInSlices(read(codec, bytes), new Slices(clock));
    understood();
    if (isDelta) this.#knowsDelta = true;
    const subscription = this.#subscriptions.get(delivery.type as ResourceType);
    if (subscription?.asked === true) await this.#process(delivery, subscription, live);
    else this.#stray(delivery.type);
  }

  refused({ code }: StreamEnd): boolean {
    if (code !== UNIMPLEMENTED || !this.#isDelta || this.#knowsDelta) return false;
    this.#isConnected = false;
    this.#deltaRefused = true;
    this.host.deltaUnknown();
    return true;
  }

  ended(details: string, failed: boolean): void {
    // The next connection may be to another server.
    this.#deltaRefused = false;
    this.host.ended(this, details, failed);
    this.#isConnected = false;
  }

  /** Told once of each type, and of a few: what a server sends must not fill the log. */
  #stray(given: string): void {
    const type = given.slice(0, MAX_SHOWN_TYPE);
    if (this.#strays.size >= MAX_STRAYS || this.#strays.has(type)) return;
    this.#strays.add(type);
    this.host.logger.warn('the control plane sent a type that was not asked for', { type });
  }

  get #methods(): DiscoveryMethods {
    return discoveryMethods(this.host.codec, this.only);
  }

  #newSubscription(type: ResourceType): Subscription {
    const now = (): number => this.host.clock.now();
    if (this.#isDelta) return new DeltaSubscription(type, this.host.held(type), now);
    return new SotwSubscription(type, now);
  }

  #changeProtocol(isDelta: boolean): void {
    this.#isDelta = isDelta;
    for (const [type, before] of this.#subscriptions) {
      const subscription = this.#newSubscription(type);
      for (const name of before.names) subscription.add(name);
      this.#subscriptions.set(type, subscription);
    }
  }

  #nextChange(): { readonly type: ResourceType; readonly request: TypeRequest } | undefined {
    for (const [type, subscription] of this.#subscriptions) {
      if (type !== this.#processing && subscription.pending) return { type, request: subscription.request() };
    }
    return undefined;
  }

  async #process(delivery: Delivery, subscription: Subscription, live: () => boolean): Promise<void> {
    const { type } = subscription;
    this.#processing = type;
    let detail: string | undefined;
    try {
      detail = await this.host.process(delivery, subscription);
    } finally {
      this.#processing = undefined;
    }
    const { version, nonce } = delivery;
    if (!live()) {
      if (detail === undefined) subscription.acceptedAfterStream(version);
      return;
    }
    const request = detail === undefined ? subscription.accepted(version, nonce) : subscription.rejected(nonce, detail);
    this.#answers.push({ type, request });
  }
}
