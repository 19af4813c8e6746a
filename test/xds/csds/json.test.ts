import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { seededRandom } from '../../../src/core/random.js';
import { CLUSTER, type Resource } from '../../../src/core/resources.js';
import { resourcesAsJson } from '../../../src/xds/csds/index.js';
import { plainJson } from '../../../src/xds/csds/plain-json.js';
import { loadCodec } from '../../../src/xds/wire/index.js';
import { ALL_STATES, dump, dumped, NODE } from './support.js';

const codec = await loadCodec();
const only = async (raw: Uint8Array | Resource): Promise<unknown> =>
  (await resourcesAsJson(dump([dumped({ raw })]))).resources[0]?.resource;

const TLS = 'type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext';
const withKey: Resource = {
  name: 'c',
  transport_socket: {
    name: 'envoy.transport_sockets.tls',
    typed_config: {
      '@type': TLS,
      sni: 'reviews',
      common_tls_context: {
        tls_certificates: [
          {
            certificate_chain: { inline_string: 'public' },
            private_key: { inline_string: 'hush' },
            password: { inline_string: 'hush' },
          },
        ],
      },
    },
  },
};

describe('a config dump as JSON', () => {
  test('tells of every state, with the resource decoded', async () => {
    const json = await resourcesAsJson(dump(ALL_STATES));
    expect(json).toMatchObject({ scope: 'mesh', node: NODE });
    expect(json.resources.map(({ name, state }) => `${name} ${state}`)).toEqual(
      ALL_STATES.map(({ name, state }) => `${name} ${state}`),
    );
    expect(json.resources[4]).toEqual({
      type: CLUSTER,
      name: 'refused',
      state: 'NACKED',
      version: '4',
      updatedAt: '2023-11-14T22:13:20.250Z',
      resource: { name: 'c', type: 'EDS' },
      error: {
        details: 'lb_policy: no',
        version: '5',
        attemptedAt: '2023-11-14T22:13:21.250Z',
        resource: { name: 'refused-5', type: 'EDS' },
      },
    });
    expect(json.resources[0]).toMatchObject({ updatedAt: undefined, resource: undefined, error: undefined });
  });

  test('says of bytes that are no such message what is wrong with them', async () => {
    const { resources } = await resourcesAsJson(dump(ALL_STATES));
    expect(resources[5]?.error?.resource).toEqual({
      undecodable: expect.stringMatching(/malformed envoy.config.route.v3.RouteConfiguration/),
      bytes: 1,
    });
  });

  test.each([
    ['came over a wire', () => codec.encodeResource(CLUSTER, withKey)],
    ['is embedded', () => withKey],
  ])('holds no private key of a resource that %s', async (_name, raw) => {
    const json = await only(raw());
    expect(JSON.stringify(json)).not.toContain('hush');
    expect(json).toMatchObject({
      transport_socket: {
        typed_config: {
          '@type': TLS,
          sni: 'reviews',
          common_tls_context: {
            tls_certificates: [
              { certificate_chain: { inline_string: 'public' }, private_key: '[redacted]', password: '[redacted]' },
            ],
          },
        },
      },
    });
  });

  test('holds nothing of an Any that nobody here can read', async () => {
    const typed_config = { '@type': 'type.googleapis.com/acme.Secret', value: Buffer.from('hush') };
    expect(await only({ name: 'c', transport_socket: { typed_config } })).toMatchObject({
      transport_socket: {
        typed_config: { '@type': 'type.googleapis.com/acme.Secret', value: '4 bytes of an unknown type' },
      },
    });
  });

  test('has bytes as base64 and numbers that are none by name', () => {
    const value = { bytes: Uint8Array.of(1, 2), list: [Number.NaN, Number.NEGATIVE_INFINITY, 5n], nothing: undefined };
    expect(plainJson(value)).toEqual({ bytes: 'AQI=', list: ['NaN', '-Infinity', '5'], nothing: undefined });
  });

  test('can be written, whatever the resource is', async () => {
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 200 }), fc.nat(), async (bytes, seed) => {
        // Half of them mutations of a good one.
        const good = Buffer.from(codec.encodeResource(CLUSTER, withKey));
        good[seededRandom(seed).int(good.length)] = seed % 256;
        for (const raw of [bytes, good]) {
          const text = JSON.stringify(await resourcesAsJson(dump([dumped({ raw })])));
          expect(JSON.parse(text).resources).toHaveLength(1);
        }
      }),
    );
  });
});
