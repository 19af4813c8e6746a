import { EgressDeniedError, MeshError } from '../core/errors.js';
import { contains, type Ip, type Network, parseIp, parseNetwork } from '../core/ip.js';
import type { ClusterConfig } from '../core/model/cluster.js';
import type { EgressConfig, EgressRule } from '../core/model/egress.js';
import type { EndpointConfig } from '../core/model/endpoint.js';
import type { ClientSettings } from '../core/model/settings.js';
import type { TargetConfig } from '../core/model/target.js';

/** A rule, compiled. Undefined: anything. */
interface Rule {
  readonly hosts: readonly string[] | undefined;
  readonly ports: ReadonlySet<number> | undefined;
  readonly networks: readonly Network[] | undefined;
}

/** Where to. `host` as the call names it, or as an endpoint is called; '' where it has no name. */
export interface EgressDestination {
  readonly host: string;
  readonly port: number;
}

/**
 * Decides which calls may leave. The address that is judged is the one that is connected to: an endpoint has it before its first connection, and a name is not looked up
 * again (DNS rebinding). Immutable.
 */
export class EgressPolicy {
  readonly #deny: readonly Rule[];
  readonly #allow: readonly Rule[];
  readonly #registered: readonly Rule[];

  constructor(private readonly config: EgressConfig) {
    this.#deny = config.deny.map(compiled);
    this.#allow = config.allow.map(compiled);
    this.#registered = config.registered.map(compiled);
  }

  /** Whether it would let everything out. */
  get isOpen(): boolean {
    return this.config.default === 'allow' && this.#deny.length === 0;
  }

  /** A host that no Service names, and that a ServiceEntry registers all the same. */
  registers(to: EgressDestination): boolean {
    return this.#registered.some((rule) => named(rule, to));
  }

  /** Whether an address could be found for which it is allowed: if not, the name is not even looked up. */
  mayLeave(to: EgressDestination): boolean {
    if (this.#deny.some((rule) => rule.networks === undefined && named(rule, to))) return false;
    return this.config.default === 'allow' || this.registers(to) || this.#allow.some((rule) => named(rule, to));
  }

  /** Whether it is allowed for any address: for what the configuration had, and has no more, whatever addresses that led to. */
  mayAlwaysLeave(to: EgressDestination): boolean {
    if (this.#deny.some((rule) => named(rule, to))) return false;
    if (this.config.default === 'allow' || this.registers(to)) return true;
    return this.#allow.some((rule) => rule.networks === undefined && named(rule, to));
  }

  /** `known`: the configuration of the mesh has it. An address that is none is one that no range contains. */
  allows(to: EgressDestination, address: string, known: boolean): boolean {
    const ip = parseIp(address);
    if (this.#deny.some((rule) => matches(rule, to, ip, true))) return false;
    if (known || this.config.default === 'allow' || this.registers(to)) return true;
    return this.#allow.some((rule) => matches(rule, to, ip, false));
  }

  /**
   * The configuration of a destination that the mesh knows and that is called `to`, without endpoints that may not be connected to. The same object where all may. A cluster
   * is one for all destinations that lead to it: where what is called decides, it is taken away whole, and left alone for the others.
   */
  filtered(config: TargetConfig, to: EgressDestination): TargetConfig {
    if (this.#deny.length === 0) return config;
    let changed = false;
    const clusters = new Map<string, typeof config.clusters extends ReadonlyMap<string, infer C> ? C : never>();
    for (const [name, cluster] of config.clusters) {
      const kept = cluster instanceof MeshError || cluster.kind !== 'leaf' ? cluster : this.#leaf(cluster, to);
      changed ||= kept !== cluster;
      clusters.set(name, kept);
    }
    return changed ? Object.freeze({ ...config, clusters }) : config;
  }

  #leaf(cluster: ClusterConfig, to: EgressDestination): ClusterConfig | MeshError {
    const may = (endpoint: EndpointConfig): boolean =>
      endpoint.addresses.every(({ host, port }) => this.allows({ host: endpoint.hostname ?? '', port }, host, true));
    const endpoints = cluster.endpoints.filter(may);
    if (this.#isDenied(to, endpoints)) return new EgressDeniedError(to.host);
    if (endpoints.length === cluster.endpoints.length) return cluster;
    return endpoints.length === 0 ? new EgressDeniedError(cluster.name) : Object.freeze({ ...cluster, endpoints });
  }

  /** By what is called: its name with its own port, and with the ports that this leads to. */
  #isDenied(to: EgressDestination, endpoints: readonly EndpointConfig[]): boolean {
    if (this.#deny.some((rule) => rule.networks === undefined && named(rule, to))) return true;
    return endpoints.some(({ addresses }) =>
      addresses.some(
        ({ host, port }) => !this.allows(to, host, true) || !this.allows({ host: to.host, port }, host, true),
      ),
    );
  }
}

const compiled = ({ hosts, ports, cidrs }: EgressRule): Rule => ({
  hosts,
  ports: ports && new Set(ports),
  networks: cidrs?.flatMap((range) => parseNetwork(range) ?? []),
});

/** By what is known before an address is. */
const named = ({ hosts, ports }: Rule, { host, port }: EgressDestination): boolean =>
  (ports === undefined || ports.has(port)) &&
  (hosts === undefined || hosts.some((pattern) => hostMatches(pattern, host)));

/** An address that cannot be read is in every range that denies, and in none that allows. */
function matches(rule: Rule, to: EgressDestination, ip: Ip | undefined, denies: boolean): boolean {
  if (!named(rule, to)) return false;
  if (rule.networks === undefined) return true;
  return ip === undefined ? denies : rule.networks.some((network) => contains(network, ip));
}

/** A host with its dot at the end is the same. Names are compared without case. */
function hostMatches(pattern: string, given: string): boolean {
  const host = given.toLowerCase().replace(/\.$/, '');
  if (pattern === '*') return true;
  return pattern.startsWith('*.')
    ? host.endsWith(pattern.slice(1)) && host.length > pattern.length - 1
    : host === pattern;
}

/** What is said to every client about leaving the mesh. Who asks is told when that changes. */
export class EgressHolder {
  #policy: EgressPolicy | undefined;
  #unknownHosts: ClientSettings['unknownHosts'];
  #trouble: 'awaited' | MeshError | undefined;
  #text = '';
  readonly #listeners = new Set<() => void>();

  /** Undefined: everything may leave. */
  get policy(): EgressPolicy | undefined {
    return this.#policy;
  }

  /** Undefined: nobody says. */
  get unknownHosts(): ClientSettings['unknownHosts'] {
    return this.#unknownHosts;
  }

  /** Why nobody can tell what may leave, so that hosts that the configuration does not know are not called: not yet, or not at all. */
  get trouble(): 'awaited' | MeshError | undefined {
    return this.#trouble;
  }

  /** Somebody will say. */
  await(): void {
    this.#trouble = 'awaited';
  }

  /** Nobody can say; not for what was said before, which stands. */
  fail(error: MeshError): void {
    if (this.#text !== '') return;
    this.#trouble = error;
    this.#tell();
  }

  take({ egress, unknownHosts }: Partial<ClientSettings>): void {
    const text = JSON.stringify([egress ?? null, unknownHosts ?? null]);
    if (text === this.#text) return;
    this.#text = text;
    this.#trouble = undefined;
    this.#policy = egress && new EgressPolicy(egress);
    this.#unknownHosts = unknownHosts;
    this.#tell();
  }

  #tell(): void {
    for (const listener of [...this.#listeners]) listener();
  }

  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }
}
