import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { DecodeError } from '../../../src/core/decode.js';
import { listenerName } from '../../../src/xds/bootstrap/index.js';
import { loadCodec } from '../../../src/xds/wire/index.js';
import { parse } from './support.js';

const SERVER = {
  server_uri: 'xds.example:443',
  channel_creds: [
    {
      type: 'tls',
      config: { ca_certificate_file: '/ca', certificate_file: '/c', private_key_file: '/k', refresh_interval: '1s' },
    },
  ],
  call_creds: [{ type: 'jwt_token_file', config: { jwt_token_file: '/t' } }],
  server_features: ['trusted_xds_server'],
  api_type: 'DELTA_GRPC',
};

/** Sets everything, so that mutations reach every branch. */
const FULL = {
  xds_servers: [SERVER, { server_uri: 'b', channel_creds: [{ type: 'google_default' }, { type: 'insecure' }] }],
  node: {
    id: 'n',
    cluster: 'c',
    locality: { region: 'r', zone: 'z', sub_zone: 's' },
    metadata: { a: [1, 'x', null, { b: true }] },
  },
  certificate_providers: {
    roots: { plugin_name: 'file_watcher', config: { ca_certificate_file: '/ca', refresh_interval: '1.5s' } },
    spiffe: { plugin_name: 'file_watcher', config: { spiffe_trust_bundle_map_file: '/m' } },
  },
  authorities: { a: { client_listener_resource_name_template: 'xdstp://a/%s', xds_servers: [SERVER] }, '': {} },
  client_default_listener_resource_name_template: 'xdstp://a/%s',
  server_listener_resource_name_template: 'grpc/server/%s',
};

type Path = readonly (string | number)[];

/** Every place in a value, the root included. */
function places(value: unknown, path: Path = []): Path[] {
  if (typeof value !== 'object' || value === null) return [path];
  return [path, ...Object.entries(value).flatMap(([key, child]) => places(child, [...path, key]))];
}

/** The value with what is at `path` replaced. */
function replaced(value: unknown, path: Path, by: unknown): unknown {
  const [key, ...rest] = path;
  if (key === undefined) return by;
  if (Array.isArray(value)) return value.map((child, i) => (String(i) === key ? replaced(child, rest, by) : child));
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([k, v]) => [k, k === key ? replaced(v, rest, by) : v]));
}

const PLACES = places(FULL);
const mutation = fc.tuple(
  fc.constantFrom(...PLACES),
  fc.oneof(
    fc.jsonValue({ maxDepth: 4 }),
    fc.anything({ withDate: true, withMap: true, withSet: true, withTypedArray: true }),
    fc.constantFrom('', '%s', 'tls', 'insecure', 'file_watcher', 'xdstp://a/', 'xdstp:///', '1s', '-1s', undefined),
    fc
      .constantFrom(...PLACES)
      .map((path) => path.reduce<unknown>((at, key) => (at as Record<string, unknown>)[key], FULL)),
  ),
);

test('whatever a bootstrap is, it is read or refused with a DecodeError; what is read can be used', async () => {
  const codec = await loadCodec();
  let good = 0;
  let bad = 0;
  fc.assert(
    fc.property(fc.array(mutation, { minLength: 1, maxLength: 3 }), (mutations) => {
      const json = mutations.reduce<unknown>((value, [path, by]) => replaced(value, path, by), FULL);
      try {
        const bootstrap = parse(json);
        codec.encodeMessage('envoy.config.core.v3.Node', bootstrap.node);
        expect(typeof listenerName(bootstrap.listenerTemplate, 'x')).toBe('string');
        good++;
      } catch (error) {
        if (!(error instanceof DecodeError)) throw error;
        bad++;
      }
    }),
    { numRuns: 3_000 },
  );
  // Both ways are taken, or the mutations are no good.
  expect(Math.min(good, bad)).toBeGreaterThan(300);
});

test('JSON that has nothing to do with a bootstrap is refused with a DecodeError', () => {
  fc.assert(
    fc.property(fc.anything(), (json) => {
      expect(() => parse(json)).toThrow(DecodeError);
    }),
  );
});
