import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { createBalancer } from '../../../src/client/balancer/balancer.js';
import { highWord, lowWord } from '../../../src/client/balancer/hash.js';
import { RingBuilder } from '../../../src/client/balancer/ring.js';
import type { Endpoint } from '../../../src/client/endpoints/endpoint.js';
import { headerFields } from '../../../src/core/headers.js';
import type { EndpointConfig } from '../../../src/core/model/endpoint.js';
import { seededRandom } from '../../../src/core/random.js';
import { aLiveEndpoint, hash64, picksOf } from '../../support/balancing.js';
import { FakeClock } from '../../support/fake-clock.js';

const ports = (from: number, count: number): string[] =>
  Array.from({ length: count }, (_, i) => `127.0.0.1:${from + i}`);

/** Entries as `port hash`, in order. */
function ringOf(keys: readonly string[], weights: readonly number[], minSize: number, maxSize = 8 << 20): string[] {
  const ring = new RingBuilder({ minSize, maxSize }, hash64).build(keys, weights);
  return Array.from(ring.owners, (owner, entry) => `${keys[owner]?.split(':').at(-1)} ${ring.hashAt(entry)}`);
}

function ringHash(
  at: readonly (string | [string, Partial<EndpointConfig>])[],
  more: { minSize?: number; maxSize?: number; useHostname?: boolean; requestHashHeader?: string } = {},
) {
  const endpoints = at.map((endpoint) =>
    typeof endpoint === 'string' ? aLiveEndpoint(endpoint) : aLiveEndpoint(...endpoint),
  );
  const balancer = createBalancer(
    { balancer: { kind: 'ring_hash', minSize: 12, maxSize: 8 << 20, ...more } },
    { clock: new FakeClock(), random: seededRandom(1), hash64 },
  );
  balancer.update(endpoints);
  return { balancer, endpoints };
}

// The numbers are those of Envoy's ring_hash_lb_test.cc.
describe("rings are Envoy's and gRPC's, entry by entry", () => {
  test('six endpoints, by address', () => {
    expect(ringOf(ports(90, 6), new Array(6).fill(1), 12)).toEqual([
      '94 833437586790550860',
      '92 928266305478181108',
      '90 1033482794131418490',
      '95 3551244743356806947',
      '93 3851675632748031481',
      '91 5583722120771150861',
      '91 6311230543546372928',
      '93 7700377290971790572',
      '95 13144177310400110813',
      '92 13444792449719432967',
      '94 15516499411664133160',
      '90 16117243373044804889',
    ]);
  });

  test('two endpoints and a smallest ring of three: two entries each', () => {
    expect(ringOf(ports(80, 2), [1, 1], 3)).toEqual([
      '80 5454692015285649509',
      '81 7859399908942313493',
      '80 13838424394637650569',
      '81 16064866803292627174',
    ]);
    expect(ringOf(ports(81, 2), [1, 1], 3)).toEqual([
      '81 7859399908942313493',
      '82 8241336090459785962',
      '82 12882406409176325258',
      '81 16064866803292627174',
    ]);
  });

  test('weights 1, 2 and 3 in a ring of exactly six', () => {
    expect(ringOf(ports(90, 3), [1, 2, 3], 6, 6)).toEqual([
      '92 928266305478181108',
      '92 4443673547860492590',
      '91 5583722120771150861',
      '91 6311230543546372928',
      '92 13444792449719432967',
      '90 16117243373044804889',
    ]);
  });

  test('weights 1, 2 and 3 in a ring of 6,144: each hash of 6,000 around it falls where it does in Envoy', () => {
    const ring = new RingBuilder({ minSize: 6_144, maxSize: 8 << 20 }, hash64).build(ports(90, 3), [1, 2, 3]);
    expect(ring.size).toBe(6_144);
    const counts = [0, 0, 0];
    for (let i = 0n; i < 6_000n; i++) {
      const hash = i * ((2n ** 64n - 1n) / 6_000n);
      const owner = ring.owners[ring.find(highWord(hash), lowWord(hash))] as number;
      counts[owner] = (counts[owner] as number) + 1;
    }
    expect(counts).toEqual([987, 1_932, 3_081]);
  });

  test('weights of endpoints and localities together, in a ring of nine', () => {
    const at = (zone: string, localityWeight: number, weight: number): Partial<EndpointConfig> => ({
      locality: { region: '', zone, subZone: '' },
      localityWeight,
      weight,
    });
    const { balancer, endpoints } = ringHash(
      [
        ['127.0.0.1:90', at('A', 1, 1)],
        ['127.0.0.1:91', at('A', 1, 2)],
        ['127.0.0.1:92', at('B', 2, 1)],
        ['127.0.0.1:93', at('B', 2, 2)],
      ],
      { minSize: 9, maxSize: 9 },
    );
    const expected: [bigint, number][] = [
      [928266305478181108n, 2],
      [3851675632748031481n, 3],
      [5583722120771150861n, 1],
      [6311230543546372928n, 1],
      [7700377290971790572n, 3],
      [12559126875973811811n, 3],
      [13444792449719432967n, 2],
      [13784988426630141778n, 3],
      [16117243373044804889n, 0],
    ];
    for (const [hash, endpoint] of expected) expect(balancer.pick({ hash })).toBe(endpoints[endpoint]);
  });

  test('hashes before the first entry, at one, between two, and after the last', () => {
    const { balancer, endpoints } = ringHash(ports(90, 6));
    const port = (hash: bigint): number => endpoints.indexOf(balancer.pick({ hash }) as Endpoint) + 90;
    expect(port(0n)).toBe(94);
    expect(port(833437586790550860n)).toBe(94);
    expect(port(833437586790550861n)).toBe(92);
    expect(port(16117243373044804890n)).toBe(94);
    expect(port(2n ** 64n - 1n)).toBe(94);
  });

  test.each([
    ['hostnames when asked for', { hostname: 'name' as const }],
    ['the hash key of the metadata, which comes first', { hashKey: 'key' as const }],
  ])('by %s', (_, by) => {
    const names = ['90', '91', '92', '93', '94', '95'];
    const { balancer, endpoints } = ringHash(
      names.map((name) => [
        `127.0.0.1:${name}`,
        'hostname' in by ? { hostname: name } : { hashKey: name, hostname: 'another' },
      ]),
      { useHostname: true },
    );
    const port = (hash: bigint): number => endpoints.indexOf(balancer.pick({ hash }) as Endpoint) + 90;
    expect(port(0n)).toBe(95);
    expect(port(7225015537174310577n)).toBe(92);
    expect(port(6803900775736438537n)).toBe(93);
    expect(port(8787465352164086522n)).toBe(90);
    expect(port(15364271037087512981n)).toBe(95);
  });

  test('the order of entries is that of their hashes, to the last bit, whatever they are', () => {
    const bits = fc.bigInt({ min: 0n, max: 2n ** 64n - 1n });
    // Few upper words: ties there are decided by the lower ones.
    const close = fc.tuple(fc.bigInt({ min: 0n, max: 3n }), fc.bigInt({ min: 0n, max: 2n ** 32n - 1n }));
    fc.assert(
      fc.property(
        fc.array(
          fc.oneof(
            bits,
            close.map(([high, low]) => (high << 32n) | low),
          ),
          { minLength: 1, maxLength: 200 },
        ),
        (hashes) => {
          const keys = hashes.map((_, i) => String(i));
          const builder = new RingBuilder({ minSize: hashes.length, maxSize: hashes.length }, (text) => {
            return hashes[Number.parseInt(text, 10)] as bigint;
          });
          const ring = builder.build(keys, new Array(keys.length).fill(1));
          const inOrder = Array.from({ length: ring.size }, (_, entry) => ring.hashAt(entry));
          expect(inOrder).toEqual([...hashes].sort((a, b) => (a < b ? -1 : a > b ? 1 : 0)));
        },
      ),
    );
  });
});

test("a ring is no larger than this client's cap, whatever is configured (A42)", () => {
  let hashed = 0;
  const counting = (text: string): bigint => {
    hashed++;
    return hash64(text);
  };
  const made = (ringSizeCap: number | undefined): number => {
    hashed = 0;
    const config = { kind: 'ring_hash', minSize: 50_000, maxSize: 8 << 20 } as const;
    const env = { clock: new FakeClock(), random: seededRandom(1), hash64: counting, ringSizeCap };
    createBalancer({ balancer: config }, env).update([aLiveEndpoint('10.0.0.1:80'), aLiveEndpoint('10.0.0.2:80')]);
    return hashed;
  };
  expect(made(undefined)).toBe(4_096);
  expect(made(10_000)).toBe(10_000);
});

describe('a call whose endpoint cannot have it', () => {
  test('a retry goes to the next endpoint on the ring, as in Envoy', () => {
    const { balancer, endpoints } = ringHash(ports(90, 6));
    expect(balancer.pick({ hash: 0n, tried: ['127.0.0.1:94'] })).toBe(endpoints[2]);
    expect(balancer.pick({ hash: 0n, tried: ['127.0.0.1:94', '127.0.0.1:92'] })).toBe(endpoints[0]);
  });

  test('goes past those that cannot be reached; to its own when none can', () => {
    const { balancer, endpoints } = ringHash(ports(90, 6));
    (endpoints[4] as Endpoint).connectFailed(0);
    (endpoints[2] as Endpoint).connectFailed(0);
    expect(balancer.pick({ hash: 0n })).toBe(endpoints[0]);
    for (const endpoint of endpoints) endpoint.connectFailed(0);
    expect(balancer.pick({ hash: 0n })).toBe(endpoints[4]);
    expect(balancer.pick({ hash: 0n, tried: ['127.0.0.1:94'] })).toBe(endpoints[2]);
  });
});

describe('the hash of a header (A76)', () => {
  const header = { requestHashHeader: 'user' };

  test("is the value's, several joined with a comma, and no other hash counts", () => {
    const { balancer, endpoints } = ringHash(ports(90, 6), header);
    const plain = ringHash(ports(90, 6));
    for (const user of ['ann', ['ann', 'bob']]) {
      const expected = plain.balancer.pick({ hash: hash64([user].flat().join(',')) });
      const picked = balancer.pick({ headers: headerFields({ user }), hash: 0n });
      expect(picked?.key).toBe(expected?.key);
    }
    expect(new Set(picksOf(balancer, 200, { headers: headerFields({ user: '' }) }).keys()).size).toBeGreaterThan(1);
    expect(endpoints).toHaveLength(6);
  });

  test('without one, a connected endpoint has the call; one at a time is connected to on the way, beside it', () => {
    const { balancer, endpoints } = ringHash(ports(90, 6), header);
    const looked: Endpoint[] = [];
    for (const endpoint of endpoints) {
      endpoint.look = () => {
        looked.push(endpoint);
        endpoint.looking = new Promise(() => {});
        return endpoint.looking;
      };
    }
    for (const endpoint of endpoints.slice(0, 2)) endpoint.reached(0);
    expect([...picksOf(balancer, 200).keys()].every(({ reach }) => reach === 'reached')).toBe(true);
    expect(looked).toHaveLength(1);
    looked[0]?.reached(1);
    expect(picksOf(balancer, 200).has(looked[0] as Endpoint)).toBe(true);
    expect(looked).toHaveLength(2);
  });

  test('without one, and with nobody connected, all calls wait for one endpoint', () => {
    const { balancer } = ringHash(ports(90, 6), header);
    const first = balancer.pick({}) as Endpoint;
    first.inflight = 1;
    expect([...picksOf(balancer, 50).keys()]).toEqual([first]);
    expect(balancer.pick({ tried: [first.key] })).not.toBe(first);
  });
});

test('says what is missing when nobody loaded the hash', () => {
  const env = { clock: new FakeClock(), random: seededRandom(1) };
  expect(() => createBalancer({ balancer: { kind: 'ring_hash', minSize: 1, maxSize: 1 } }, env)).toThrow(
    /ring_hash hashes with XXH64: set env.hash64/,
  );
});
