import type { Resource } from '../../../src/core/resources.js';
import { action, corsPolicy, mirrors, NO_RETRIES, retryPolicy } from './actions.js';
import { FAIL } from './backend.js';
import type { PlannedRequest } from './client.js';
import type { Chance } from './generate.js';
import { headerChanges } from './header-changes.js';
import { METHODS, PATHS, QUERIES, routeMatch, VALUES } from './matches.js';

const CORS = 'envoy.filters.http.cors';

/** A RouteConfiguration, and the hosts under which requests ask for it: every one of them is of this table alone. */
export interface Table {
  readonly name: string;
  readonly resource: Resource;
  readonly hosts: readonly string[];
}

export function table(chance: Chance, index: number): Table {
  const name = `t${index}`;
  const own = `${name}.shop.test`;
  const hosts = [
    own,
    `T${index}.Shop.Test`,
    `a.${own}`,
    `b.a.${own}`,
    `${own}:8080`,
    `${name}.internal`,
    `${name}.internal:81`,
    `a-${name}.example`,
  ];
  const domains = [
    own,
    own.toUpperCase(),
    `*.${own}`,
    `*.a.${own}`,
    '*.shop.test',
    '*.test',
    `*-${name}.example`,
    `${name}.*`,
    `${name}.i*`,
    'a.*',
    `${own}:8080`,
    '*:8080',
    '*',
    '*',
  ];
  const free = chance.distinct(domains, domains.length);
  const taken = new Set<string>();
  const virtual_hosts = chance.some(1, 4, (i) => {
    const chosen = free.splice(0, 1 + chance.int(3)).filter((domain) => {
      const isNew = !taken.has(domain.toLowerCase());
      taken.add(domain.toLowerCase());
      return isNew;
    });
    return virtualHost(chance, `${name}-${i}`, chosen.length > 0 ? chosen : [`${name}-${i}.elsewhere`]);
  });
  const resource = {
    name,
    virtual_hosts,
    ...headerChanges(chance, 4),
    ...chance.maybe(2, () => ({ most_specific_header_mutations_wins: true })),
    ...chance.maybe(3, () => ({ ignore_port_in_host_matching: true })),
    ...chance.maybe(10, () => ({ request_mirror_policies: mirrors(chance) })),
    ...chance.maybe(8, () => ({ typed_per_filter_config: { [CORS]: corsPolicy(chance) } })),
  };
  return { name, resource, hosts };
}

function virtualHost(chance: Chance, name: string, domains: readonly string[]): Resource {
  const routes: Resource[] = chance.some(1, 6, (i) => route(chance, `${name}-${i}`));
  if (chance.once(8)) routes.push(...many(chance, name));
  // Most hosts take what is left, so that most requests get somewhere.
  if (!chance.once(4)) routes.push(route(chance, `${name}-rest`, { prefix: '/' }));
  return {
    name,
    domains,
    routes,
    ...headerChanges(chance, 4),
    // Where there is none, we have a default and Envoy has not (docs/policies.md).
    retry_policy: chance.once(4) ? retryPolicy(chance) : NO_RETRIES,
    ...chance.maybe(10, () => ({ request_mirror_policies: mirrors(chance) })),
    ...chance.maybe(5, () => ({ include_request_attempt_count: true })),
    ...chance.maybe(5, () => ({ include_attempt_count_in_response: true })),
    ...chance.maybe(5, () => ({ typed_per_filter_config: { [CORS]: corsPolicy(chance) } })),
  };
}

/** Enough routes for one path to be told apart by a header. */
const many = (chance: Chance, name: string): Resource[] =>
  chance.some(8, 14, (i) => {
    const field = chance.once(5) ? 'x-b' : 'x-a';
    const headers = [{ name: field, string_match: { exact: chance.pick(VALUES) } }];
    return route(chance, `${name}-many-${i}`, { prefix: '/', headers });
  });

function route(chance: Chance, name: string, match: Resource = routeMatch(chance)): Resource {
  return {
    name,
    match,
    ...action(chance, match),
    ...headerChanges(chance, 4),
    ...chance.maybe(8, () => ({ typed_per_filter_config: { [CORS]: corsPolicy(chance) } })),
  };
}

const IDEMPOTENT: ReadonlySet<string> = new Set(['GET', 'HEAD', 'PUT', 'DELETE']);

export function plannedRequest(chance: Chance, { name, hosts }: Table): PlannedRequest {
  const headers: (readonly [string, string])[] = [];
  for (const field of ['x-a', 'x-b']) {
    for (let n = chance.int(3); n > 0; n--) headers.push([field, chance.pick(VALUES)]);
  }
  headers.push(['x-random', chance.pick(['0', '17', '55', '1000000007', '18446744073709551615'])]);
  if (chance.once(3)) headers.push(['cookie', chance.pick(['session=abc', 'other=1; session=xyz', 'session="q"'])]);
  if (chance.once(8)) headers.push(['x-forwarded-host', 'before.example']);
  const common = { table: name, host: chance.pick(hosts), path: chance.pick(PATHS) + chance.pick(QUERIES) };
  const method = chance.pick(METHODS);
  if (chance.once(4)) {
    // A connection that ends is our proxy's to replace where the request may be repeated (RFC 9112 section 9.3.1), whatever the route says of retries.
    const ways = ['503', '500', '502', '409', '429', '418', IDEMPOTENT.has(method) ? '503' : 'reset'];
    headers.push([FAIL, `${1 + chance.int(3)};${chance.pick(ways)}`]);
  }
  if (!chance.once(8)) return { ...common, method, headers };
  headers.push(['origin', chance.pick(['https://shop.example', 'https://x1', 'null', 'https://evil.test'])]);
  if (chance.once(3)) return { ...common, method, headers };
  if (!chance.once(4)) headers.push(['access-control-request-method', 'PUT']);
  if (chance.once(2)) headers.push(['access-control-request-headers', chance.pick(['x-a', 'x-a, x-b'])]);
  return {
    ...common,
    method: 'OPTIONS',
    headers: headers.filter(([name, value]) => name !== FAIL || !value.endsWith('reset')),
  };
}
