import { CLUSTER, LISTENER, type ResourceType } from '../../../src/core/resources.js';
import type { ServerTransport, StreamHandlers, XdsStream } from '../../../src/xds/client/index.js';
import { discoveryMethods } from '../../../src/xds/wire/index.js';
import type { AnyRequest } from '../../support/scripted-xds.js';
import { codec, packed } from './harness.js';

const { stream: sotw, delta } = discoveryMethods(codec);

/** What one stream wants of one type. */
class TypeState {
  names = new Set<string>();
  nonce = '';
}

/**
 * An xDS server that keeps the protocol's rules, with both directions of the wire in a test's hands: a request waits until `handleRequest`,
 * a response until `deliver`, so that they can cross in every way.
 */
export class ModelPlane {
  /** By type and name: the value that the resource has now. */
  readonly resources = new Map<ResourceType, Map<string, number>>();
  #handlers: StreamHandlers | undefined;
  #isDelta = false;
  #types = new Map<ResourceType, TypeState>();
  #requests: { bytes: Uint8Array; written: () => void }[] = [];
  #responses: Buffer[] = [];
  #reading = false;
  #count = 0;
  /** Requests that broke a rule which a client has to keep. */
  readonly faults: string[] = [];

  /** `lenient`: it also acts on state-of-the-world requests with a stale nonce, as some do. */
  constructor(private readonly lenient: boolean) {}

  /** Give this to the client. */
  readonly transport: ServerTransport = (path, handlers) => this.#open(path, handlers);

  get hasRequest(): boolean {
    return this.#requests.length > 0;
  }

  get hasResponse(): boolean {
    return this.#reading && this.#responses.length > 0;
  }

  /** What it is asked for on the stream that stands, as `type name`, sorted. */
  wanted(): string[] {
    return [...this.#types].flatMap(([type, { names }]) => [...names].map((name) => `${type} ${name}`)).sort();
  }

  put(type: ResourceType, name: string, value: number): void {
    this.#of(type).set(name, value);
    this.#push(type, name);
  }

  delete(type: ResourceType, name: string): void {
    if (this.#of(type).delete(name)) this.#push(type, name);
  }

  handleRequest(): void {
    const request = this.#requests.shift();
    if (request === undefined) return;
    request.written();
    const method = this.#isDelta ? delta : sotw;
    this.#handle(method.requestDeserialize(request.bytes as Buffer) as AnyRequest);
  }

  deliver(): void {
    if (!this.hasResponse) return;
    this.#reading = false;
    this.#handlers?.message(this.#responses.shift() as Buffer);
  }

  /** Ends the stream; what is under way is lost. */
  cut(): void {
    const handlers = this.#handlers;
    this.#handlers = undefined;
    handlers?.ended({ code: 14, details: 'cut' });
  }

  #open(path: string, handlers: StreamHandlers): XdsStream {
    this.#handlers = handlers;
    this.#isDelta = path.includes('Delta');
    this.#types = new Map();
    this.#requests = [];
    this.#responses = [];
    this.#reading = false;
    queueMicrotask(() => handlers.connected());
    return {
      send: (bytes, written) => {
        if (handlers === this.#handlers) this.#requests.push({ bytes, written });
      },
      read: () => {
        if (handlers === this.#handlers) this.#reading = true;
      },
      close: () => {
        if (handlers === this.#handlers) this.#handlers = undefined;
      },
    };
  }

  #of(type: ResourceType): Map<string, number> {
    const found = this.resources.get(type) ?? new Map<string, number>();
    this.resources.set(type, found);
    return found;
  }

  #handle(request: AnyRequest): void {
    const type = request.type_url as ResourceType;
    const isFirst = !this.#types.has(type);
    const state = this.#types.get(type) ?? new TypeState();
    this.#types.set(type, state);
    if (this.#isDelta) this.#handleDelta(type, state, request, isFirst);
    else this.#handleSotw(type, state, request, isFirst);
  }

  #handleSotw(type: ResourceType, state: TypeState, request: AnyRequest, isFirst: boolean): void {
    const { response_nonce: nonce = '', resource_names: names = [] } = request;
    if (isFirst && nonce !== '') this.faults.push('a nonce on a new stream');
    if (isFirst && names.length === 0) this.faults.push('a wildcard');
    // "The management server should not send a DiscoveryResponse for any DiscoveryRequest that has a stale nonce."
    if (nonce !== state.nonce && !this.lenient) return;
    const added = names.filter((name) => !state.names.has(name));
    state.names = new Set(names);
    if (added.length > 0) this.#sendSotw(type, state, added);
  }

  #sendSotw(type: ResourceType, state: TypeState, changed: readonly string[]): void {
    const isFullSet = type === CLUSTER || type === LISTENER;
    const names = (isFullSet ? [...state.names] : changed).filter((name) => this.#of(type).has(name));
    this.#count++;
    state.nonce = `n${this.#count}`;
    const resources = names.map((name) => this.#body(type, name));
    const response = { type_url: type, version_info: `v${this.#count}`, nonce: state.nonce, resources };
    this.#responses.push(sotw.responseSerialize(response));
  }

  #handleDelta(type: ResourceType, state: TypeState, request: AnyRequest, isFirst: boolean): void {
    const { resource_names_subscribe: add = [], resource_names_unsubscribe: remove = [] } = request;
    const { initial_resource_versions: held = {}, response_nonce: nonce = '' } = request;
    if (isFirst && (nonce !== '' || add.length === 0)) this.faults.push('a wildcard, or a nonce on a new stream');
    if (!isFirst && Object.keys(held).length > 0) this.faults.push('initial versions in a later request');
    if (nonce !== '' && add.length + remove.length > 0) this.faults.push('names in an answer');
    if (add.some((name) => remove.includes(name))) this.faults.push('a name that comes and goes in one request');
    if (remove.some((name) => !state.names.has(name))) this.faults.push('a name that goes and never came');
    for (const name of remove) state.names.delete(name);
    for (const name of add) state.names.add(name);
    const news = add.filter((name) => held[name] !== String(this.#of(type).get(name)));
    if (news.length > 0) this.#sendDelta(type, news);
  }

  #sendDelta(type: ResourceType, names: readonly string[]): void {
    this.#count++;
    const resources = names
      .filter((name) => this.#of(type).has(name))
      .map((name) => ({ name, version: String(this.#of(type).get(name)), resource: this.#body(type, name) }));
    const removed_resources = names.filter((name) => !this.#of(type).has(name));
    const response = { type_url: type, nonce: `n${this.#count}`, resources, removed_resources };
    this.#responses.push(delta.responseSerialize(response));
  }

  #push(type: ResourceType, name: string): void {
    const state = this.#types.get(type);
    if (this.#handlers === undefined || state === undefined || !state.names.has(name)) return;
    if (this.#isDelta) this.#sendDelta(type, [name]);
    else this.#sendSotw(type, state, [name]);
  }

  #body(type: ResourceType, name: string) {
    const value = this.#of(type).get(name);
    if (type === CLUSTER) return packed(type, { name, alt_stat_name: `value ${value}` });
    return packed(type, {
      cluster_name: name,
      named_endpoints: {},
      policy: { endpoint_stale_after: { seconds: value } },
    });
  }
}
