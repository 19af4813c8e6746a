import type { Resource } from '../../../src/core/resources.js';
import { any } from '../../support/xds-resources.js';
import type { Chance } from './generate.js';
import { headerChanges } from './header-changes.js';

/** Clusters of one endpoint each, and two whose endpoint is chosen by hash. */
export const SINGLE_CLUSTERS = ['red', 'green', 'blue'] as const;
export const HASHED_CLUSTERS = ['ring', 'maglev'] as const;
/** A cluster whose endpoints are told apart by their labels, and what a call falls back to for which none has them: nothing, or version v1. */
export const PARTED_CLUSTERS = ['parts', 'parts-or-v1'] as const;
/** Of a parted cluster's endpoints, in their order. No two of them are alike in `version`, nor in both. */
export const LABELS = [
  { version: 'v1', stage: 'new' },
  { version: 'v2', stage: 'new' },
  { version: 'v3', stage: 'old' },
  { version: 'v4', stage: 'old' },
] as const;
/** Where copies go. */
export const SHADOW_CLUSTER = 'shadow';
/** A name that no cluster has. */
const NO_CLUSTER = 'nowhere';

/** What a route does: one member of `route.v3.Route.action`. */
export function action(chance: Chance, match: Resource): Resource {
  const prefixes = match['path_separated_prefix'] === undefined ? ['/new', '/', '/new/'] : ['/new'];
  switch (chance.int(8)) {
    case 0:
      return { redirect: redirect(chance, prefixes) };
    case 1:
      return { direct_response: directResponse(chance) };
    default:
      return { route: forward(chance, prefixes) };
  }
}

function redirect(chance: Chance, prefixes: readonly string[]): Resource {
  return {
    ...chance.maybe(3, () =>
      chance.pick([{ https_redirect: true }, { scheme_redirect: 'https' }, { scheme_redirect: 'http' }]),
    ),
    ...chance.maybe(3, () => ({ host_redirect: chance.pick(['other.example', 'Other.example:81']) })),
    ...chance.maybe(3, () => ({ port_redirect: chance.pick([80, 443, 8443]) })),
    ...chance.maybe(2, () =>
      chance.pick([
        { path_redirect: '/moved' },
        { path_redirect: '/moved?by=redirect' },
        { prefix_rewrite: chance.pick(prefixes) },
        { prefix_rewrite: chance.pick(prefixes) },
        { regex_rewrite: { pattern: { regex: '/(a|shop)' }, substitution: '/was-\\1' } },
      ]),
    ),
    ...chance.maybe(3, () => ({
      response_code: chance.pick(['FOUND', 'SEE_OTHER', 'TEMPORARY_REDIRECT', 'PERMANENT_REDIRECT']),
    })),
    ...chance.maybe(3, () => ({ strip_query: true })),
  };
}

function directResponse(chance: Chance): Resource {
  return {
    status: chance.pick([200, 201, 204, 302, 304, 404, 418, 503]),
    ...chance.maybe(2, () => ({ body: { inline_string: `direct ${chance.int(10)}` } })),
  };
}

function forward(chance: Chance, prefixes: readonly string[]): Resource {
  const { cluster, ...rest } = destination(chance);
  const isHashed = HASHED_CLUSTERS.some((name) => name === cluster);
  return {
    ...(cluster === undefined ? {} : { cluster }),
    ...rest,
    ...chance.maybe(3, () =>
      chance.pick([
        { prefix_rewrite: chance.pick(prefixes) },
        { prefix_rewrite: chance.pick(prefixes) },
        { regex_rewrite: { pattern: { regex: '/([a-z]+)' }, substitution: '/<\\1>' } },
        { regex_rewrite: { pattern: { regex: '^/a/(.*)$' }, substitution: '/\\1/a' } },
      ]),
    ),
    ...chance.maybe(4, () =>
      chance.pick([
        { host_rewrite_literal: 'rewritten.example' },
        { host_rewrite_header: 'x-b' },
        { host_rewrite_path_regex: { pattern: { regex: '^/([a-z]+).*$' }, substitution: '\\1.example' } },
        { auto_host_rewrite: { value: true } },
      ]),
    ),
    ...chance.maybe(4, () => ({ append_x_forwarded_host: true })),
    // Where endpoints differ, our later attempts go elsewhere unless told otherwise; Envoy's hash leads them back (docs/policies.md).
    ...(isHashed ? { retry_policy: NO_RETRIES } : chance.maybe(3, () => ({ retry_policy: retryPolicy(chance) }))),
    ...chance.maybe(6, () => ({ request_mirror_policies: mirrors(chance) })),
  };
}

/** Cluster, or several by weight; where chance would decide, something else does: a hash, a header, or weights of nothing. */
function destination(chance: Chance): Resource {
  const hash_policy = hashPolicies(chance);
  switch (chance.int(16)) {
    case 0:
    case 1:
    case 2:
    case 3:
      return { cluster: chance.pick(HASHED_CLUSTERS), hash_policy };
    case 4:
      return { cluster: chance.pick(PARTED_CLUSTERS), metadata_match: labels(chance) };
    case 5:
      // The labels of one that is chosen for certain; they go before the action's where both say something of one.
      return {
        weighted_clusters: {
          clusters: [
            { name: chance.pick(PARTED_CLUSTERS), weight: { value: 1 }, metadata_match: labels(chance) },
            { name: 'red', weight: { value: 0 } },
          ],
        },
        ...chance.maybe(2, () => ({ metadata_match: labels(chance) })),
      };
    case 6:
      return chance.once(3)
        ? { cluster: NO_CLUSTER }
        : { cluster: chance.pick(SINGLE_CLUSTERS), hash_policy: [madeCookie(chance)] };
    case 7:
    case 8: {
      const by = chance.int(3);
      const winner = chance.int(3);
      const clusters = SINGLE_CLUSTERS.map((name, i) => ({
        name,
        weight: { value: by === 0 ? (i === winner ? 10 : 0) : 1 + chance.int(40) },
        ...chance.maybe(3, () => headerChanges(chance, 2)),
        ...chance.maybe(6, () => ({ host_rewrite_literal: `${name}.example` })),
      }));
      if (by === 1) return { weighted_clusters: { clusters, header_name: 'x-random' } };
      return by === 2
        ? { weighted_clusters: { clusters, use_hash_policy: { value: true } }, hash_policy }
        : { weighted_clusters: { clusters } };
    }
    default:
      return { cluster: chance.pick(SINGLE_CLUSTERS) };
  }
}

/** `metadata_match` that one endpoint has, or none. */
function labels(chance: Chance): Resource {
  const wanted = chance.pick([
    ...LABELS.map(({ version }) => ({ version })),
    ...LABELS,
    { version: 'v9' },
    { version: 'v1', stage: 'old' },
    { stage: 'new' },
    { colour: 'red' },
  ]);
  const fields = Object.entries(wanted).map(([name, string_value]) => [name, { string_value }]);
  return { filter_metadata: { 'envoy.lb': { fields: Object.fromEntries(fields) } } };
}

/** A cookie that is made where there is none. Its value is chance's. */
const madeCookie = (chance: Chance): Resource => ({
  cookie: {
    name: chance.pick(['session', 'made']),
    ttl: chance.pick([{}, { seconds: 90 }, { seconds: 3_600, nanos: 500_000_000 }]),
    ...chance.maybe(2, () => ({ path: chance.pick(['/', '/shop']) })),
    ...chance.maybe(2, () => ({
      attributes: chance.distinct(
        [{ name: 'Secure' }, { name: 'SameSite', value: 'Strict' }, { name: 'Domain', value: 'shop.test' }],
        1 + chance.int(2),
      ),
    })),
  },
});

/** The last one always has a value. */
function hashPolicies(chance: Chance): Resource[] {
  const policies = chance.some(0, 2, () => ({
    ...chance.pick([
      { header: { header_name: 'x-a' } },
      { header: { header_name: 'x-absent' } },
      { header: { header_name: 'x-b', regex_rewrite: { pattern: { regex: '[a-z]' }, substitution: 'z' } } },
      { header: { header_name: ':path' } },
      { cookie: { name: 'session' } },
      { filter_state: { key: 'absent' } },
      { query_parameter: { name: 'q' } },
    ]),
    ...chance.maybe(3, () => ({ terminal: true })),
  }));
  return [...policies, { connection_properties: { source_ip: true } }];
}

/** A policy of its own that never retries, as none is inherited beside it. */
export const NO_RETRIES: Resource = { retry_on: '' };

export function retryPolicy(chance: Chance): Resource {
  return {
    retry_on: chance.pick([
      '5xx',
      'gateway-error',
      'reset',
      'retriable-4xx',
      'retriable-status-codes',
      'retriable-headers',
      'gateway-error,reset',
      'connect-failure',
      'cancelled,unavailable',
      '',
    ]),
    ...chance.maybe(2, () => ({ num_retries: { value: 1 + chance.int(4) } })),
    ...chance.maybe(2, () => ({ retriable_status_codes: chance.distinct([429, 500, 503, 418], 2) })),
    ...chance.maybe(2, () => ({
      retriable_headers: [
        chance.pick([
          { name: 'x-retriable', present_match: true },
          { name: ':status', string_match: { exact: '503' } },
        ]),
      ],
    })),
    ...chance.maybe(4, () => ({ retriable_request_headers: [{ name: 'x-a', present_match: true }] })),
    retry_back_off: { base_interval: { nanos: 1_000_000 }, max_interval: { nanos: 2_000_000 } },
  };
}

export function mirrors(chance: Chance): Resource[] {
  return chance.some(1, 2, () => ({
    cluster: SHADOW_CLUSTER,
    ...chance.maybe(2, () => ({
      runtime_fraction: { default_value: { numerator: chance.pick([0, 100]), denominator: 'HUNDRED' } },
    })),
    ...chance.maybe(3, () => ({ disable_shadow_host_suffix_append: true })),
  }));
}

export const corsPolicy = (chance: Chance): Resource =>
  any('envoy.extensions.filters.http.cors.v3.CorsPolicy', {
    allow_origin_string_match: chance.pick([
      [{ exact: 'https://shop.example' }],
      [{ suffix: '.example' }, { safe_regex: { regex: 'https://x[0-9]+' } }],
      [{ prefix: '', exact: '*' }].map(({ exact }) => ({ exact })),
    ]),
    ...chance.maybe(2, () => ({ allow_methods: chance.pick(['GET,PUT', '*']) })),
    ...chance.maybe(2, () => ({ allow_headers: chance.pick(['x-a', '*']) })),
    ...chance.maybe(2, () => ({ expose_headers: chance.pick(['x-reply', '*']) })),
    ...chance.maybe(2, () => ({ max_age: '600' })),
    ...chance.maybe(2, () => ({ allow_credentials: { value: true } })),
    ...chance.maybe(3, () => ({ forward_not_matching_preflights: { value: chance.once(2) } })),
    ...chance.maybe(4, () => ({
      filter_enabled: { default_value: { numerator: chance.pick([0, 100]), denominator: 'HUNDRED' } },
    })),
  });
