/**
 * A virtual host's domain: `*`, `*suffix`, `prefix*` or a name. The wildcard stands for one character or
 * more, and only at one end (route_components.proto). Returns what is wrong with it, or undefined.
 */
export function domainProblem(domain: string): string | undefined {
  if (domain === '') return 'must not be empty';
  const stars = domain.split('*').length - 1;
  if (stars > 1 || (stars === 1 && !domain.startsWith('*') && !domain.endsWith('*'))) {
    return `must have at most one "*", and that at its beginning or end, got "${domain}"`;
  }
  return undefined;
}

/** Virtual hosts by domain: exact, else the longest `*suffix`, else the longest `prefix*`, else `*`; case does not count. */
export class VirtualHosts<T extends { readonly domains: readonly string[] }> {
  readonly #exact = new Map<string, T>();
  readonly #suffixes = new AffixIndex<T>((host, length) => host.slice(host.length - length));
  readonly #prefixes = new AffixIndex<T>((host, length) => host.slice(0, length));
  #any: T | undefined;

  /** Domains are in lower case, as RouteConfiguration keeps them. Of two hosts with the same domain the first has it. */
  constructor(
    virtualHosts: readonly T[],
    private readonly ignorePort: boolean,
  ) {
    for (const virtualHost of virtualHosts) for (const domain of virtualHost.domains) this.#add(domain, virtualHost);
  }

  find(host: string): T | undefined {
    const wanted = (this.ignorePort ? withoutPort(host) : host).toLowerCase();
    return this.#exact.get(wanted) ?? this.#suffixes.longest(wanted) ?? this.#prefixes.longest(wanted) ?? this.#any;
  }

  #add(domain: string, virtualHost: T): void {
    if (domain === '*') this.#any ??= virtualHost;
    else if (domain.startsWith('*')) this.#suffixes.add(domain.slice(1), virtualHost);
    else if (domain.endsWith('*')) this.#prefixes.add(domain.slice(0, -1), virtualHost);
    else if (!this.#exact.has(domain)) this.#exact.set(domain, virtualHost);
  }
}

/** Values by what a text begins or ends with; the longest is found with one look-up for each length that there is. */
class AffixIndex<T> {
  /** By length, the longest first. */
  #byLength: (readonly [number, Map<string, T>])[] = [];

  constructor(private readonly affix: (text: string, length: number) => string) {}

  add(value: string, holder: T): void {
    const same = this.#byLength.find(([length]) => length === value.length);
    if (same === undefined) {
      this.#byLength.push([value.length, new Map([[value, holder]])]);
      this.#byLength.sort(([a], [b]) => b - a);
    } else if (!same[1].has(value)) same[1].set(value, holder);
  }

  longest(text: string): T | undefined {
    for (const [length, holders] of this.#byLength) {
      // The wildcard stands for one character or more.
      if (length >= text.length) continue;
      const holder = holders.get(this.affix(text, length));
      if (holder !== undefined) return holder;
    }
    return undefined;
  }
}

/** The same for one look-up. */
export const chooseVirtualHost = <T extends { readonly domains: readonly string[] }>(
  virtualHosts: readonly T[],
  host: string,
  ignorePort: boolean,
): T | undefined => new VirtualHosts(virtualHosts, ignorePort).find(host);

/** `host:8080` and `[::1]:8080` without the port; an IPv6 address without brackets has none. */
function withoutPort(host: string): string {
  return /^(\[.*\]|[^:]*)(:\d*)?$/.exec(host)?.[1] ?? host;
}
