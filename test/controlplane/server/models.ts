import type { ClientStream, StreamRequest, StreamResponse } from '../../../src/controlplane/server/client-stream.js';
import { CLUSTER, ENDPOINT, LISTENER, type Resource, type ResourceType, ROUTE } from '../../../src/core/resources.js';
import { endpointsOf, referencesOf } from '../../../src/controlplane/snapshot/references.js';

interface Request {
  readonly type: ResourceType;
  readonly wanted: StreamRequest['wanted'];
  readonly nonce: string;
  readonly refused: boolean;
}

const same = (a: Iterable<string>, b: Iterable<string>): boolean => [...a].sort().join() === [...b].sort().join();

/** A client with a wire in both directions: what is on it arrives when the test says so. */
abstract class ModelClient {
  /** On the way to the client. The ClientStream's `send` pushes here. */
  readonly responses: StreamResponse[] = [];
  /** On the way to the server. */
  readonly requests: Request[] = [];
  readonly #nonces = new Map<ResourceType, string>();
  readonly #asked = new Map<ResourceType, readonly string[]>();

  /** `incremental`: which of the two protocols it speaks. */
  constructor(readonly incremental: boolean) {}

  abstract start(): void;
  protected abstract apply(response: StreamResponse): void;
  /** Clusters that traffic goes to now, and that must be there with their endpoints. */
  abstract inUse(): Set<string>;
  abstract usable(cluster: string): boolean;

  /** The server reads one request. */
  deliverRequest(stream: ClientStream): void {
    const next = this.requests.shift();
    if (next === undefined) return;
    const error = next.refused ? { code: 3, message: 'refused by the test' } : undefined;
    stream.request(next.type, { wanted: next.wanted, nonce: next.nonce, error }, 0);
  }

  /** The client reads one response and answers it; a refused one changes nothing. */
  deliverResponse(refuse: boolean): void {
    const response = this.responses.shift();
    if (response === undefined) return;
    this.#nonces.set(response.type, response.nonce);
    if (!refuse) this.apply(response);
    const names = this.#asked.get(response.type) ?? [];
    this.request(response.type, this.incremental ? change([], []) : { names }, response.nonce, refuse);
  }

  /** Asks for everything, in the old way: with an empty list. */
  protected wantAll(type: ResourceType): void {
    this.#asked.set(type, []);
    this.request(type, this.incremental ? change([], []) : { names: [] }, '', false);
  }

  /** Asks for exactly these, when that is news. */
  protected want(type: ResourceType, names: Iterable<string>): void {
    const list = [...names].sort();
    const before = this.#asked.get(type) ?? [];
    if (same(before, list)) return;
    this.#asked.set(type, list);
    if (this.incremental) this.request(type, change(before, list), '', false);
    else this.request(type, { names: list }, this.#nonces.get(type) ?? '', false);
  }

  /** What the client has of a type after `response`: in state of the world, LDS and CDS responses hold everything. */
  protected after<T>(
    before: ReadonlyMap<string, T>,
    { type, resources, absent }: StreamResponse,
    read: (resource: Resource) => T,
  ): Map<string, T> {
    const whole = !this.incremental && (type === LISTENER || type === CLUSTER);
    const next = new Map(whole ? undefined : before);
    for (const { name, resource } of resources) next.set(name, read(resource));
    if (this.incremental) for (const name of absent) next.delete(name);
    return next;
  }

  private request(type: ResourceType, wanted: StreamRequest['wanted'], nonce: string, refused: boolean): void {
    this.requests.push({ type, wanted, nonce, refused });
  }
}

const change = (before: readonly string[], after: readonly string[]): StreamRequest['wanted'] => ({
  subscribe: after.filter((name) => !before.includes(name)),
  unsubscribe: before.filter((name) => !after.includes(name)),
  versions: {},
});

const clustersOf = (route: Resource): string[] => referencesOf(ROUTE, route).map(({ name }) => name);
const routesOf = (listener: Resource): string => referencesOf(LISTENER, listener)[0]?.name ?? '';

/** As an Envoy does it: all clusters, their endpoints, then all listeners, their routes. Routes are used the moment they arrive. */
export class EnvoyModel extends ModelClient {
  /** By name; the value is the endpoint set. */
  #clusters = new Map<string, string>();
  #endpoints = new Map<string, true>();
  #listeners = new Map<string, string>();
  /** The routes that each listener uses: the old ones until the new ones are there. */
  readonly #active = new Map<string, string>();
  #routes = new Map<string, readonly string[]>();
  #started = false;

  start(): void {
    this.wantAll(CLUSTER);
  }

  get clusters(): string[] {
    return [...this.#clusters.keys()].sort();
  }

  inUse(): Set<string> {
    return new Set([...this.#active.values()].flatMap((route) => this.#clustersIn(route)));
  }

  #clustersIn(route: string): readonly string[] {
    const clusters = this.#routes.get(route);
    if (clusters === undefined) throw new Error(`a listener uses "${route}", and the client no longer has it`);
    return clusters;
  }

  usable(cluster: string): boolean {
    const endpoints = this.#clusters.get(cluster);
    return endpoints !== undefined && this.#endpoints.has(endpoints);
  }

  protected apply(response: StreamResponse): void {
    const { type } = response;
    if (type === CLUSTER) {
      this.#clusters = this.after(this.#clusters, response, (resource) => endpointsOf(resource) ?? '');
      for (const name of this.#endpoints.keys())
        if (![...this.#clusters.values()].includes(name)) this.#endpoints.delete(name);
      this.want(ENDPOINT, this.#clusters.values());
      if (this.#clusters.size === 0) this.#listen();
    } else if (type === ENDPOINT) {
      const wanted = new Set(this.#clusters.values());
      const all = this.after(this.#endpoints, response, () => true as const);
      this.#endpoints = new Map([...all].filter(([name]) => wanted.has(name)));
      if (this.#endpoints.size === this.#clusters.size) this.#listen();
    } else if (type === LISTENER) {
      this.#listeners = this.after(this.#listeners, response, routesOf);
      for (const name of this.#active.keys()) if (!this.#listeners.has(name)) this.#active.delete(name);
      this.#settle();
    } else {
      this.#routes = this.after(this.#routes, response, clustersOf);
      this.#settle();
    }
  }

  #listen(): void {
    if (this.#started) return;
    this.#started = true;
    this.wantAll(LISTENER);
  }

  #settle(): void {
    for (const [listener, route] of this.#listeners) if (this.#routes.has(route)) this.#active.set(listener, route);
    const wanted = new Set([...this.#listeners.values(), ...this.#active.values()]);
    for (const name of this.#routes.keys()) if (!wanted.has(name)) this.#routes.delete(name);
    this.want(ROUTE, wanted);
  }
}

/** As gRPC clients do it (gRFC A74): names from the top down, the old configuration in use until the new one is complete. */
export class GrpcModel extends ModelClient {
  #listeners = new Map<string, string>();
  #routes = new Map<string, readonly string[]>();
  #clusters = new Map<string, string>();
  #endpoints = new Map<string, true>();
  /** Clusters of the configuration in use, by authority. */
  readonly #active = new Map<string, readonly string[]>();

  constructor(
    private readonly authorities: readonly string[],
    incremental: boolean,
  ) {
    super(incremental);
  }

  start(): void {
    this.want(LISTENER, this.authorities);
  }

  get clusters(): string[] {
    return [...this.#clusters.keys()].sort();
  }

  inUse(): Set<string> {
    return new Set([...this.#active.values()].flat());
  }

  usable(cluster: string): boolean {
    return this.#endpoints.has(this.#clusters.get(cluster) ?? '');
  }

  protected apply(response: StreamResponse): void {
    const { type } = response;
    if (type === LISTENER) this.#listeners = this.after(this.#listeners, response, routesOf);
    else if (type === ROUTE) this.#routes = this.after(this.#routes, response, clustersOf);
    else if (type === CLUSTER) this.#clusters = this.after(this.#clusters, response, (it) => endpointsOf(it) ?? '');
    else this.#endpoints = this.after(this.#endpoints, response, () => true as const);
    this.#settle();
  }

  #settle(): void {
    for (const authority of this.#active.keys()) if (!this.#listeners.has(authority)) this.#active.delete(authority);
    const next = new Set<string>();
    for (const [authority, route] of this.#listeners) {
      const clusters = this.#routes.get(route);
      for (const cluster of clusters ?? []) next.add(cluster);
      if (clusters?.every((cluster) => this.usable(cluster))) this.#active.set(authority, clusters);
    }
    const wanted = new Set([...next, ...this.inUse()]);
    for (const name of this.#clusters.keys()) if (!wanted.has(name)) this.#clusters.delete(name);
    const routes = new Set(this.#listeners.values());
    for (const name of this.#routes.keys()) if (!routes.has(name)) this.#routes.delete(name);
    this.want(ROUTE, routes);
    this.want(CLUSTER, wanted);
    const endpoints = new Set(this.#clusters.values());
    for (const name of this.#endpoints.keys()) if (!endpoints.has(name)) this.#endpoints.delete(name);
    this.want(ENDPOINT, endpoints);
  }
}
