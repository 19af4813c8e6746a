import { isIP, isIPv6 } from 'node:net';
import { type DnsOptions, watchDns } from '../../core/dns.js';
import { type Address, addressKey, type EndpointConfig } from '../../core/model/endpoint.js';
import type { DnsDiscovery, DnsFamily } from '../resources/discovery.js';
import type { Assignment } from '../resources/endpoint.js';
import { deepFreeze, retain } from '../resources/share.js';
import type { EndpointSource } from './endpoint-source.js';
import type { SlotOwner } from './slot.js';

/**
 * Endpoints whose hosts are names. They are known once every name has been resolved or has failed; a name that fails later keeps
 * the addresses that it had. Trouble is only when no name has any.
 */
export class DnsEndpoints implements EndpointSource {
  #assignment: Assignment | undefined;
  #error: Error | undefined;
  readonly #known = new Map<string, readonly string[]>();
  readonly #unresolved: Set<string>;
  readonly #stops: (() => void)[] = [];

  constructor(
    private readonly discovery: DnsDiscovery,
    dns: DnsOptions,
    private readonly owner: SlotOwner,
  ) {
    const names = new Set(
      discovery.assignment.endpoints.map(({ addresses }) => addresses[0].host).filter((host) => isIP(host) === 0),
    );
    this.#unresolved = new Set(names);
    const options = discovery.refreshMs === undefined ? dns : { ...dns, refreshMs: discovery.refreshMs };
    for (const name of names) this.#stops.push(this.#watch(name, options));
    if (names.size === 0) this.#assemble();
  }

  get assignment(): Assignment | undefined {
    return this.#assignment;
  }

  get error(): Error | undefined {
    return this.#error;
  }

  close(): void {
    for (const stop of this.#stops) stop();
  }

  #watch(name: string, options: DnsOptions): () => void {
    return watchDns(name, options, {
      addresses: (ips) => {
        this.#known.set(name, ips);
        this.#settled(name);
      },
      failed: (error) => {
        if (this.#known.has(name)) this.owner.ambient(error);
        else {
          this.#error = error;
          this.#settled(name);
        }
      },
    });
  }

  #settled(name: string): void {
    this.#unresolved.delete(name);
    if (this.#unresolved.size > 0) return;
    if (this.#known.size > 0) this.#assemble();
    this.owner.changed();
  }

  #assemble(): void {
    const { assignment, family, kind } = this.discovery;
    const byKey = new Map<string, EndpointConfig>();
    for (const endpoint of assignment.endpoints) {
      const [{ host, port }] = endpoint.addresses;
      const ips = isIP(host) === 0 ? inFamily(this.#known.get(host) ?? [], family, kind) : [host];
      const addresses = ips.map((ip) => ({ host: ip, port }));
      // Envoy: the name that was resolved is what `auto_host_rewrite` writes, when the endpoint has none of its own.
      const hostname = endpoint.hostname ?? (isIP(host) === 0 ? host : undefined);
      const groups = kind === 'logical_dns' ? [addresses] : addresses.map((address) => [address]);
      for (const [first, ...others] of groups) {
        if (first === undefined) continue;
        const key = addressKey(first);
        const all: readonly [Address, ...Address[]] = [first, ...others];
        // Two names may resolve to one address; it is one endpoint, as the first says.
        if (!byKey.has(key)) byKey.set(key, { ...endpoint, key, addresses: all, hostname });
      }
    }
    this.#error = undefined;
    this.#assignment = retain(this.#assignment, deepFreeze({ ...assignment, endpoints: [...byKey.values()] }));
  }
}

/**
 * The addresses to use. Where nothing is said (AUTO) IPv4 goes first, as with V4_PREFERRED; Envoy would try IPv6 first. Names such as
 * `localhost` have both where the server listens on the first only, and no address is given up on for another of its name here:
 * each is an endpoint. A single endpoint of several addresses (LOGICAL_DNS) keeps the others to fall back on (gRFC A61).
 */
function inFamily(ips: readonly string[], family: DnsFamily, kind: DnsDiscovery['kind']): readonly string[] {
  const v4 = ips.filter((ip) => !isIPv6(ip));
  const v6 = ips.filter((ip) => isIPv6(ip));
  switch (family) {
    case 'ALL':
      return ips;
    case 'V4_ONLY':
      return v4;
    case 'V6_ONLY':
      return v6;
    default:
      if (kind === 'logical_dns') return [...v4, ...v6];
      return v4.length > 0 ? v4 : v6;
  }
}
