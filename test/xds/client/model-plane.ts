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

/** One stream, aggregated or of one type, and what is under way on it. */
class ModelStream {
  readonly types = new Map<ResourceType, TypeState>();
  readonly requests: { readonly bytes: Uint8Array; readonly written: () => void }[] = [];
  readonly responses: Buffer[] = [];
  reading = false;

  constructor(
    readonly handlers: StreamHandlers,
    readonly isDelta: boolean,
  ) {}
}

/**
 * An xDS server that keeps the protocol's rules, with both directions of the wire in a test's hands: a request waits until `handleRequest`,
 * a response until `deliver`, so that they can cross in every way.
 */
export class ModelPlane {
  /** By type and name: the value that the resource has now. */
  readonly resources = new Map<ResourceType, Map<string, number>>();
  /** Streams that stand, the one that was opened or looked at last at the end. */
  readonly #streams = new Set<ModelStream>();
  #count = 0;
  /** Requests that broke a rule which a client has to keep. */
  readonly faults: string[] = [];

  /** `lenient`: it also acts on state-of-the-world requests with a stale nonce, as some do. */
  constructor(private readonly lenient: boolean) {}

  /** Give this to the client. */
  readonly transport: ServerTransport = (path, handlers) => this.#open(path, handlers);

  get hasRequest(): boolean {
    return this.#find(hasRequest) !== undefined;
  }

  get hasResponse(): boolean {
    return this.#find(hasResponse) !== undefined;
  }

  /** What it is asked for on the streams that stand, as `type name`, sorted. */
  wanted(): string[] {
    const types = [...this.#streams].flatMap((stream) => [...stream.types]);
    return types.flatMap(([type, { names }]) => [...names].map((name) => `${type} ${name}`)).sort();
  }

  put(type: ResourceType, name: string, value: number): void {
    this.#of(type).set(name, value);
    this.#push(type, name);
  }

  delete(type: ResourceType, name: string): void {
    if (this.#of(type).delete(name)) this.#push(type, name);
  }

  handleRequest(): void {
    const stream = this.#find(hasRequest);
    const request = stream?.requests.shift();
    if (stream === undefined || request === undefined) return;
    this.#lookedAt(stream);
    request.written();
    const method = stream.isDelta ? delta : sotw;
    this.#handle(stream, method.requestDeserialize(request.bytes as Buffer) as AnyRequest);
  }

  deliver(): void {
    const stream = this.#find(hasResponse);
    if (stream === undefined) return;
    this.#lookedAt(stream);
    stream.reading = false;
    stream.handlers.message(stream.responses.shift() as Buffer);
  }

  /** Ends one stream; what is under way on it is lost. */
  cut(): void {
    const [stream] = this.#streams;
    if (stream === undefined) return;
    this.#streams.delete(stream);
    stream.handlers.ended({ code: 14, details: 'cut' });
  }

  #open(path: string, handlers: StreamHandlers): XdsStream {
    const stream = new ModelStream(handlers, path.includes('Delta'));
    this.#streams.add(stream);
    queueMicrotask(() => handlers.connected());
    return {
      send: (bytes, written) => stream.requests.push({ bytes, written }),
      read: () => {
        stream.reading = true;
      },
      close: () => this.#streams.delete(stream),
    };
  }

  #find(is: (stream: ModelStream) => boolean): ModelStream | undefined {
    for (const stream of this.#streams) if (is(stream)) return stream;
    return undefined;
  }

  #lookedAt(stream: ModelStream): void {
    this.#streams.delete(stream);
    this.#streams.add(stream);
  }

  #of(type: ResourceType): Map<string, number> {
    const found = this.resources.get(type) ?? new Map<string, number>();
    this.resources.set(type, found);
    return found;
  }

  #handle(stream: ModelStream, request: AnyRequest): void {
    const type = request.type_url as ResourceType;
    const isFirst = !stream.types.has(type);
    const state = stream.types.get(type) ?? new TypeState();
    stream.types.set(type, state);
    if (stream.isDelta) this.#handleDelta(stream, type, state, request, isFirst);
    else this.#handleSotw(stream, type, state, request, isFirst);
  }

  #handleSotw(stream: ModelStream, type: ResourceType, state: TypeState, request: AnyRequest, isFirst: boolean): void {
    const { response_nonce: nonce = '', resource_names: names = [] } = request;
    if (isFirst && nonce !== '') this.faults.push('a nonce on a new stream');
    if (isFirst && names.length === 0) this.faults.push('a wildcard');
    // "The management server should not send a DiscoveryResponse for any DiscoveryRequest that has a stale nonce."
    if (nonce !== state.nonce && !this.lenient) return;
    const added = names.filter((name) => !state.names.has(name));
    state.names = new Set(names);
    if (added.length > 0) this.#sendSotw(stream, type, state, added);
  }

  #sendSotw(stream: ModelStream, type: ResourceType, state: TypeState, changed: readonly string[]): void {
    const isFullSet = type === CLUSTER || type === LISTENER;
    const names = (isFullSet ? [...state.names] : changed).filter((name) => this.#of(type).has(name));
    this.#count++;
    state.nonce = `n${this.#count}`;
    const resources = names.map((name) => this.#body(type, name));
    const response = { type_url: type, version_info: `v${this.#count}`, nonce: state.nonce, resources };
    stream.responses.push(sotw.responseSerialize(response));
  }

  #handleDelta(stream: ModelStream, type: ResourceType, state: TypeState, request: AnyRequest, isFirst: boolean): void {
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
    if (news.length > 0) this.#sendDelta(stream, type, news);
  }

  #sendDelta(stream: ModelStream, type: ResourceType, names: readonly string[]): void {
    this.#count++;
    const resources = names
      .filter((name) => this.#of(type).has(name))
      .map((name) => ({ name, version: String(this.#of(type).get(name)), resource: this.#body(type, name) }));
    const removed_resources = names.filter((name) => !this.#of(type).has(name));
    const response = { type_url: type, nonce: `n${this.#count}`, resources, removed_resources };
    stream.responses.push(delta.responseSerialize(response));
  }

  #push(type: ResourceType, name: string): void {
    for (const stream of this.#streams) {
      const state = stream.types.get(type);
      if (state?.names.has(name) !== true) continue;
      if (stream.isDelta) this.#sendDelta(stream, type, [name]);
      else this.#sendSotw(stream, type, state, [name]);
    }
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

const hasRequest = ({ requests }: ModelStream): boolean => requests.length > 0;
const hasResponse = ({ reading, responses }: ModelStream): boolean => reading && responses.length > 0;
