/** Where a domain stands among those that match: the kind first, then the longer one. */
interface Rank {
  readonly kind: 0 | 1 | 2 | 3;
  readonly length: number;
}

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

/** The virtual host for `host`: exact, else the longest `*suffix`, else the longest `prefix*`, else `*`; case does not count. */
export function chooseVirtualHost<T extends { readonly domains: readonly string[] }>(
  virtualHosts: readonly T[],
  host: string,
  ignorePort: boolean,
): T | undefined {
  const wanted = (ignorePort ? withoutPort(host) : host).toLowerCase();
  let best: T | undefined;
  let bestRank: Rank | undefined;
  for (const virtualHost of virtualHosts) {
    for (const domain of virtualHost.domains) {
      const rank = rankOf(domain, wanted);
      if (rank === undefined) continue;
      if (
        bestRank === undefined ||
        rank.kind < bestRank.kind ||
        (rank.kind === bestRank.kind && rank.length > bestRank.length)
      ) {
        best = virtualHost;
        bestRank = rank;
      }
    }
  }
  return best;
}

/** `domain` is in lower case, as RouteConfiguration keeps it. */
function rankOf(domain: string, host: string): Rank | undefined {
  const { length } = domain;
  if (domain === host) return { kind: 0, length };
  if (domain === '*') return { kind: 3, length };
  if (host.length < length) return undefined;
  if (domain.startsWith('*')) return host.endsWith(domain.slice(1)) ? { kind: 1, length } : undefined;
  if (domain.endsWith('*')) return host.startsWith(domain.slice(0, -1)) ? { kind: 2, length } : undefined;
  return undefined;
}

/** `host:8080` and `[::1]:8080` without the port; an IPv6 address without brackets has none. */
function withoutPort(host: string): string {
  return /^(\[.*\]|[^:]*)(:\d*)?$/.exec(host)?.[1] ?? host;
}
