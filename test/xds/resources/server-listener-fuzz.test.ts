import { describe, expect, test } from 'vitest';
import { type Random, seededRandom } from '../../../src/core/random.js';
import { CLUSTER, LISTENER, type Resource, type ResourceType } from '../../../src/core/resources.js';
import { runToEnd } from '../../../src/core/steps.js';
import { OWN } from '../../../src/xds/origin.js';
import { decodersFor } from '../../../src/xds/resources/decoders.js';
import { ResourceError } from '../../../src/xds/resources/message.js';
import { chain, cidr, httpFilter, listenerOf } from '../../support/server-resources.js';
import { downstreamTls, instance, upstreamTls } from '../../support/tls-resources.js';
import { any, clusterResource, routerFilter } from '../../support/xds-resources.js';

const RUNS = 1_500;
const decoders = decodersFor({ certificateProviders: new Set(['default', 'ROOTCA']) });

const rbac = any('envoy.extensions.filters.http.rbac.v3.RBAC', {
  rules: {
    action: 'DENY',
    policies: {
      p: {
        permissions: [
          { and_rules: { rules: [{ not_rule: { any: true } }, { destination_port: 80 }] } },
          { header: { name: 'a', string_match: { safe_regex: { regex: 'a+' } } } },
          { url_path: { path: { prefix: '/a' } } },
          { destination_ip: cidr('10.0.0.0', 8) },
        ],
        principals: [
          { or_ids: { ids: [{ authenticated: { principal_name: { exact: 'a' } } }, { remote_ip: cidr('::1', 128) }] } },
          { metadata: { filter: 'x', invert: true } },
        ],
      },
    },
    audit_logging_options: { logger_configs: [{ audit_logger: { name: 'x', typed_config: any('x.Y') } }] },
  },
});

const common_tls_context = {
  tls_certificate_provider_instance: instance('default'),
  tls_certificate_certificate_provider_instance: instance('default'),
  combined_validation_context: {
    default_validation_context: {
      ca_certificate_provider_instance: instance('ROOTCA'),
      match_subject_alt_names: [{ exact: 'a' }],
      match_typed_subject_alt_names: [{ san_type: 'DNS', matcher: { safe_regex: { regex: 'a' } } }],
      verify_certificate_hash: [],
      require_signed_certificate_timestamp: { value: false },
    },
    validation_context_certificate_provider_instance: instance('ROOTCA'),
  },
  alpn_protocols: ['h2'],
};

const SEEDS: readonly (readonly [ResourceType, Resource])[] = [
  [
    LISTENER,
    listenerOf(
      'n',
      [
        chain(
          { prefix_ranges: [cidr('10.1.1.1', 8), cidr('::1')], source_type: 'EXTERNAL', source_ports: [1, 2] },
          { name: 'a', filters: [httpFilter({ http_filters: [{ name: 'rbac', typed_config: rbac }, routerFilter] })] },
        ),
        chain({ server_names: ['x'], transport_protocol: 'tls', application_protocols: ['h2'] }, { name: 'b' }),
        chain(undefined, {
          transport_socket: downstreamTls({ common_tls_context, require_client_certificate: { value: true } }),
        }),
      ],
      { use_original_dst: { value: false }, listener_filters: [], default_filter_chain: chain(undefined) },
    ),
  ],
  [CLUSTER, clusterResource('n', { transport_socket: upstreamTls({ sni: 'a', common_tls_context }) })],
];

type Place = { readonly owner: Record<string, unknown> | unknown[]; readonly key: string | number };

function places(value: unknown, found: Place[] = []): Place[] {
  if (typeof value !== 'object' || value === null || value instanceof Uint8Array) return found;
  const owner = value as Record<string, unknown> | unknown[];
  const keys = Array.isArray(owner) ? owner.keys() : Object.keys(owner);
  for (const key of keys) {
    found.push({ owner, key });
    places((owner as Record<string | number, unknown>)[key], found);
  }
  return found;
}

const STRANGE: readonly unknown[] = [
  undefined,
  null,
  '',
  'x',
  '\0',
  '__proto__',
  -1,
  0,
  1.5,
  2 ** 40,
  Number.NaN,
  true,
  false,
  [],
  [null],
  [{}],
  {},
  { '@type': 'type.googleapis.com/xds.type.v3.TypedStruct', type_url: 'x' },
  new Uint8Array(1),
  { any: true },
];

/** The seed with one to three places changed: another value, or what stands somewhere else. */
function mutated(seed: Resource, random: Random): Resource {
  const copy = structuredClone(seed);
  const pick = <T>(list: readonly T[]): T => list[random.int(list.length)] as T;
  for (let i = 0, changes = 1 + random.int(3); i < changes; i++) {
    const all = places(copy);
    const { owner, key } = pick(all);
    const from = pick(all);
    const other = (from.owner as Record<string | number, unknown>)[from.key];
    const value = structuredClone(random.next() < 0.3 ? other : pick(STRANGE));
    Object.defineProperty(owner, key, { value, enumerable: true, configurable: true, writable: true });
  }
  return copy;
}

describe('a mutated resource', () => {
  test.each(SEEDS)('%s is accepted, or refused with a ResourceError that names a place', (type, seed) => {
    const random = seededRandom(7);
    let refused = 0;
    for (let i = 0; i < RUNS; i++) {
      const resource = mutated(seed, random);
      try {
        runToEnd(decoders[type](resource, 'n', OWN) as Generator<undefined, unknown, undefined>);
      } catch (error) {
        if (!(error instanceof ResourceError))
          throw new Error(`run ${i}: ${JSON.stringify(resource)}`, { cause: error });
        refused++;
      }
    }
    expect(refused).toBeGreaterThan(0);
  });
});
