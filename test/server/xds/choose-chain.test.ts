import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { CidrRange, FilterChain, FilterChainMatch } from '../../../src/core/model/server.js';
import { chainChooser } from '../../../src/server/xds/choose-chain.js';
import { parseIp } from '../../../src/core/ip.js';
import { chain, listener } from './support.js';

const ADDRESS = { host: '0.0.0.0', port: 8080 };

interface Ends {
  readonly destination: string;
  readonly source: string;
  readonly sourcePort: number;
  readonly transport?: 'tls' | 'raw_buffer';
}

function choose(chains: readonly FilterChain[], ends: Ends, other?: FilterChain) {
  const { destination, source, sourcePort, transport = 'raw_buffer' } = ends;
  const chooser = chainChooser(listener(ADDRESS, { filterChains: chains, defaultFilterChain: other }));
  const ip = (text: string) => parseIp(text) ?? expect.fail(`${text} is no address`);
  return chooser({ destination: ip(destination), source: ip(source), sourcePort, transport })?.name;
}

const range = (text: string): CidrRange => {
  const [address = '', prefixLength] = text.split('/');
  return { address, prefixLength: Number(prefixLength) };
};

describe('which filter chain takes a connection', () => {
  const peer: Ends = { destination: '10.0.0.1', source: '192.168.1.7', sourcePort: 40_000 };

  it('the narrowest destination wins, and one without criteria comes last', () => {
    const chains = [
      chain('any'),
      chain('/0', { destination: [range('0.0.0.0/0')] }),
      chain('/8', { destination: [range('10.0.0.0/8'), range('11.0.0.0/32')] }),
      chain('/32', { destination: [range('10.0.0.2/32')] }),
    ];
    expect(choose(chains, peer)).toBe('/8');
    expect(choose(chains, { ...peer, destination: '12.0.0.1' })).toBe('/0');
    // "it still matches a network type (IPv4 vs IPv6)" - gRFC A36
    expect(choose(chains, { ...peer, destination: 'fd00::1', source: 'fd00::2' })).toBe('any');
  });

  it('one that names raw_buffer wins over one that does not say', () => {
    expect(choose([chain('any'), chain('raw', { rawBuffer: true })], peer)).toBe('raw');
  });

  it('one for TLS takes connections that begin with TLS and no others, before one that does not say', () => {
    const secure = chain('tls', { tls: true });
    const raw = chain('raw', { rawBuffer: true });
    const tls = { ...peer, transport: 'tls' } as const;
    expect(choose([chain('any'), secure, raw], tls)).toBe('tls');
    expect(choose([chain('any'), secure, raw], peer)).toBe('raw');
    expect(choose([secure], peer)).toBeUndefined();
    expect(choose([raw], tls)).toBeUndefined();
    expect(choose([chain('any'), raw], tls)).toBe('any');
  });

  it('source types: loopback and the same address are local, all else is external', () => {
    const chains = [
      chain('any'),
      chain('local', { sourceType: 'same_ip_or_loopback' }),
      chain('external', { sourceType: 'external' }),
    ];
    expect(choose(chains, peer)).toBe('external');
    expect(choose(chains, { ...peer, source: '127.8.0.1' })).toBe('local');
    expect(choose(chains, { ...peer, source: '10.0.0.1' })).toBe('local');
    expect(choose(chains, { ...peer, destination: '::1', source: '::1' })).toBe('local');
    expect(choose([chain('any'), chains[2] as FilterChain], { ...peer, source: '127.0.0.1' })).toBe('any');
  });

  it('a narrower source wins over a source port, and the port over none', () => {
    const chains = [
      chain('port', { sourcePorts: [40_000] }),
      chain('/16', { source: [range('192.168.0.0/16')] }),
      chain('/24 and port', { source: [range('192.168.1.0/24')], sourcePorts: [40_000] }),
      chain('/24', { source: [range('192.168.1.0/24')] }),
    ];
    expect(choose(chains, peer)).toBe('/24 and port');
    expect(choose(chains, { ...peer, sourcePort: 1 })).toBe('/24');
    expect(choose(chains, { ...peer, source: '192.168.2.1' })).toBe('/16');
    expect(choose(chains, { ...peer, source: '1.1.1.1' })).toBe('port');
  });

  it('there is no way back to a wider destination when the narrowest one refuses the source', () => {
    const chains = [
      chain('wide', { destination: [range('10.0.0.0/8')] }),
      chain('narrow', { destination: [range('10.0.0.1/32')], source: [range('1.0.0.0/8')] }),
    ];
    expect(choose(chains, peer)).toBeUndefined();
    expect(choose(chains, peer, chain('default'))).toBe('default');
  });

  it('an IPv4 client of a dual-stack socket is an IPv4 client', () => {
    const chains = [chain('v4', { source: [range('192.168.0.0/16')] }), chain('v6', { source: [range('::/0')] })];
    expect(choose(chains, { ...peer, destination: '::ffff:10.0.0.1', source: '::ffff:192.168.1.7' })).toBe('v4');
    expect(choose(chains, { ...peer, destination: 'fe80::1%eth0', source: 'fe80::2%eth0' })).toBe('v6');
  });

  it('none takes it when none matches and there is no default', () => {
    expect(choose([chain('other', { sourcePorts: [1] })], peer)).toBeUndefined();
    expect(choose([], peer)).toBeUndefined();
  });
});

/**
 * Against an oracle that knows nothing of the way there: addresses are texts of bits, a chain is each of its combinations (gRFC A36's Cartesian
 * product), and of those that match one beats another by the first criterion in which it is narrower. The criteria before it must be met as
 * narrowly as any chain that got as far meets them.
 */
describe('property: no other chain beats the one that is chosen', () => {
  // Few and close, so that they nest and collide.
  const v4 = fc.constantFrom('10.0.0.0', '10.0.0.1', '10.0.0.129', '10.1.0.0', '127.0.0.1');
  const v6 = fc.constantFrom('fd00::', 'fd00::1', 'fd00:0:0:1::1', '::1');
  const cidr = fc.oneof(
    fc.tuple(v4, fc.constantFrom(0, 8, 15, 24, 25, 32)),
    fc.tuple(v6, fc.constantFrom(0, 16, 63, 64, 127, 128)),
  );
  const ranges = fc.uniqueArray(
    cidr.map(([address, prefixLength]) => ({ address, prefixLength })),
    { maxLength: 2 },
  );
  const match: fc.Arbitrary<FilterChainMatch> = fc.record({
    destination: ranges,
    sourceType: fc.constantFrom('any', 'same_ip_or_loopback', 'external'),
    source: ranges,
    sourcePorts: fc.uniqueArray(fc.constantFrom(1, 2), { maxLength: 2 }),
    rawBuffer: fc.boolean(),
  });
  const ends = fc.oneof(fc.tuple(v4, v4), fc.tuple(v6, v6)).chain(([destination, source]) =>
    fc.record({
      destination: fc.constant(destination),
      source: fc.constant(source),
      sourcePort: fc.constantFrom(1, 2, 3),
    }),
  );

  it('over random chains and connections', () => {
    fc.assert(
      fc.property(fc.array(match, { maxLength: 6 }), ends, (matches, peer) => {
        const chains = matches.map((one, i) => chain(String(i), one));
        const expected = oracle(chains, peer);
        const chosen = choose(chains, peer);
        if (expected.length === 0) expect(chosen).toBeUndefined();
        // The decoder refuses listeners in which several are left.
        else expect(expected).toContain(chosen);
      }),
      { numRuns: 3_000 },
    );
  });

  function bits(address: string): string {
    const ip = parseIp(address) ?? expect.fail(address);
    return `${ip.bits}:${ip.value.toString(2).padStart(ip.bits, '0')}`;
  }

  function met(match: FilterChainMatch, peer: Ends): (number | undefined)[] {
    const within = (list: readonly CidrRange[], address: string): number | undefined => {
      if (list.length === 0) return -1;
      const lengths = list
        .filter((one) => {
          const upTo = bits(one.address).indexOf(':') + 1 + one.prefixLength;
          return bits(one.address).slice(0, upTo) === bits(address).slice(0, upTo);
        })
        .map((one) => one.prefixLength);
      return lengths.length === 0 ? undefined : Math.max(...lengths);
    };
    const local = peer.source === peer.destination || peer.source.startsWith('127.') || peer.source === '::1';
    const wanted = { any: 0, same_ip_or_loopback: local ? 1 : undefined, external: local ? undefined : 1 };
    const port = match.sourcePorts.includes(peer.sourcePort) ? 1 : undefined;
    return [
      within(match.destination, peer.destination),
      Number(match.rawBuffer),
      wanted[match.sourceType],
      within(match.source, peer.source),
      match.sourcePorts.length === 0 ? 0 : port,
    ];
  }

  function oracle(chains: readonly FilterChain[], peer: Ends): string[] {
    let left = chains.map(({ name, match: own }) => ({ name, scores: met(own, peer) }));
    for (let criterion = 0; criterion < 5; criterion++) {
      left = left.filter(({ scores }) => scores[criterion] !== undefined);
      const best = Math.max(...left.map(({ scores }) => scores[criterion] as number));
      left = left.filter(({ scores }) => scores[criterion] === best);
    }
    return left.map(({ name }) => name);
  }
});
