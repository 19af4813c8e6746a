import { describe, expect, test } from 'vitest';
import { IdentityError } from '../../../src/core/errors.js';
import { seededRandom } from '../../../src/core/random.js';
import { type Bundle, writeBundle } from '../../../src/identity/bundle.js';
import type { FederatedDomain } from '../../../src/identity/federation/endpoint.js';
import { federated } from '../../../src/identity/federation/federated.js';
import type { EndpointAuthentication } from '../../../src/identity/federation/fetch-bundle.js';
import { memoryIdentity } from '../../../src/identity/sources/memory.js';
import { FakeClock, settle } from '../../support/fake-clock.js';
import { testCa } from '../../support/pki.js';
import { identitySourceContract, recorder } from '../source-contract.js';

const own = testCa();
const [old, next] = [testCa({ trustDomain: 'shop.example' }), testCa({ trustDomain: 'shop.example' })];
const third = testCa({ trustDomain: 'third.example' });
const text = (authorities: string[], rest: Partial<Bundle> = {}): string =>
  writeBundle({
    x509Authorities: authorities,
    jwtAuthorities: [],
    sequence: undefined,
    refreshHintMs: undefined,
    ...rest,
  });
const web: FederatedDomain = {
  trustDomain: 'shop.example',
  url: 'https://shop.example/bundle',
  profile: { kind: 'https_web' },
};
const spiffe = (bundle?: string, server = 'spiffe://shop.example/bundles'): FederatedDomain => ({
  ...web,
  profile: { kind: 'https_spiffe', spiffeId: server, bundle },
});

/** Answers come in turn; the last one again and again. */
function fixture(domains: readonly FederatedDomain[], answers: (string | Error)[] = []) {
  const clock = new FakeClock();
  const asked: { at: number; url: string; by: EndpointAuthentication }[] = [];
  const base = memoryIdentity({ identity: own.issue(), trust: own.trust() });
  const source = federated(base, domains, {
    clock,
    random: seededRandom(1),
    async fetch(url, by) {
      asked.push({ at: clock.now(), url: url.href, by });
      const answer = answers.length > 1 ? answers.shift() : answers[0];
      if (typeof answer !== 'string') throw answer ?? new Error('nobody there');
      return answer;
    },
  });
  const watcher = recorder();
  source.watch(watcher);
  const bundles = () =>
    source.current?.trust?.kind === 'spiffe' ? Object.fromEntries(source.current.trust.bundles) : undefined;
  return { clock, asked, base, source, watcher, bundles, answers };
}

describe('federation', () => {
  describe('the contract of a source', () => {
    identitySourceContract(async () => {
      const base = memoryIdentity();
      const clock = new FakeClock();
      const source = federated(base, [web], { clock, random: seededRandom(1), fetch: async () => text([old.root]) });
      return {
        source,
        give: (identity, root) =>
          base.set({ identity, trust: { kind: 'spiffe', bundles: new Map([['cluster.local', [root]]]) } }),
        trouble: () => base.fail(new IdentityError('identity source "memory": none today')),
        wait: settle,
        async end() {
          expect(clock.pending).toBe(0);
        },
      };
    });
  });

  test('own trust counts at once, that of others when it has come, and each for its own domain', async () => {
    const { bundles, watcher } = fixture([web], [text([old.root])]);
    expect(bundles()).toEqual({ 'cluster.local': [own.root] });
    await settle();
    expect(bundles()).toEqual({ 'cluster.local': [own.root], 'shop.example': [old.root] });
    expect(watcher.states).toHaveLength(2);
  });

  test('it is asked again every five minutes, a little early, or as often as the hint says, within a minute and a day', async () => {
    for (const [hint, from, to] of [
      [undefined, 270, 300],
      [600_000, 540, 600],
      [1_000, 54, 60],
      [1e12, 77_760, 86_400],
    ] as const) {
      const { clock, asked, source } = fixture([web], [text([old.root], { refreshHintMs: hint })]);
      await settle();
      await clock.advance(from * 1000 - 1);
      expect(asked).toHaveLength(1);
      await clock.advance((to - from) * 1000 + 1);
      expect(asked).toHaveLength(2);
      await source.close();
      expect(clock.pending).toBe(0);
    }
  });

  test('a root is rotated with both valid for a while; an answer that is the same changes nothing', async () => {
    const { clock, bundles, watcher } = fixture(
      [web],
      [text([old.root]), text([old.root]), text([old.root, next.root]), text([next.root])],
    );
    const seen: unknown[] = [];
    for (let i = 0; i < 4; i++) {
      await settle();
      seen.push(bundles()?.['shop.example']);
      await clock.advance(300_000);
    }
    expect(seen).toEqual([[old.root], [old.root], [old.root, next.root], [next.root]]);
    expect(watcher.states).toHaveLength(4);
  });

  test('who fails is told of and asked again in time; what was known stays', async () => {
    const { clock, asked, bundles, watcher } = fixture(
      [web],
      [text([old.root]), new Error('nobody there'), '{}', text([next.root])],
    );
    await clock.advance(600_000);
    expect(bundles()?.['shop.example']).toEqual([old.root]);
    expect(watcher.errors.map(({ message }) => message)).toEqual([
      'identity source "memory": bundle of trust domain "shop.example" from https://shop.example/bundle: nobody there',
      'identity source "memory": bundle of trust domain "shop.example" from https://shop.example/bundle: bundle.keys: must be a list, got undefined',
    ]);
    await clock.advance(300_000);
    expect(bundles()?.['shop.example']).toEqual([next.root]);
    expect(asked).toHaveLength(4);
  });

  test('a bundle with a lower sequence number is an old one, and not taken', async () => {
    const { clock, bundles } = fixture(
      [web],
      [text([next.root], { sequence: 5 }), text([old.root], { sequence: 4 }), text([old.root], { sequence: 6 })],
    );
    await clock.advance(300_000);
    expect(bundles()?.['shop.example']).toEqual([next.root]);
    await clock.advance(300_000);
    expect(bundles()?.['shop.example']).toEqual([old.root]);
  });

  test('an empty bundle withdraws all trust in the domain, and does not forget it', async () => {
    const { clock, bundles } = fixture([web], [text([old.root]), text([])]);
    await clock.advance(300_000);
    expect(bundles()?.['shop.example']).toEqual([]);
  });

  test('nobody can say anything of our own trust domain', async () => {
    const { bundles } = fixture([{ ...web, trustDomain: 'cluster.local' }], [text([old.root])]);
    await settle();
    expect(bundles()).toEqual({ 'cluster.local': [own.root] });
  });

  test('https_spiffe: the server is verified with the newest bundle, the first one being configured', async () => {
    const { clock, asked, bundles } = fixture([spiffe(text([old.root]))], [text([next.root])]);
    expect(bundles()?.['shop.example']).toEqual([old.root]);
    await clock.advance(300_000);
    expect(asked.map(({ by }) => by)).toEqual([
      { profile: 'https_spiffe', spiffeId: 'spiffe://shop.example/bundles', authorities: [old.root] },
      { profile: 'https_spiffe', spiffeId: 'spiffe://shop.example/bundles', authorities: [next.root] },
    ]);
  });

  test('https_spiffe: a server of another trust domain is verified with what is known of that one', async () => {
    const { clock, asked, watcher, base } = fixture(
      [spiffe(undefined, 'spiffe://third.example/bundles')],
      [text([old.root])],
    );
    await settle();
    expect(asked).toHaveLength(0);
    expect(watcher.errors[0]?.message).toMatch(/its server is of trust domain "third\.example", which is not known$/);
    base.set({ identity: undefined, trust: { kind: 'spiffe', bundles: new Map([['third.example', [third.root]]]) } });
    await clock.advance(300_000);
    expect(asked.map(({ by }) => by)).toEqual([
      { profile: 'https_spiffe', spiffeId: 'spiffe://third.example/bundles', authorities: [third.root] },
    ]);
  });

  test('roots without a trust domain let no other stand beside them', async () => {
    const { base, source, watcher } = fixture([web], [text([old.root])]);
    base.set({ identity: undefined, trust: own.roots() });
    await settle();
    expect(source.current?.trust).toEqual(own.roots());
    expect(watcher.errors.at(-1)?.message).toMatch(/set trustDomain$/);
  });

  test.each<[FederatedDomain[], RegExp]>([
    [[{ ...web, trustDomain: 'A' }], /^federatesWith\[0\]\.trustDomain: must have a trust domain of/],
    [[{ ...web, url: 'http://shop.example/' }], /^federatesWith\[0\]\.url: must be an https URL/],
    [[{ ...web, url: 'https://u:p@shop.example/' }], /^federatesWith\[0\]\.url: must not have a user/],
    [[{ ...web, url: 'shop' }], /^federatesWith\[0\]\.url: must be a URL/],
    [[spiffe(undefined)], /^federatesWith\[0\]\.profile\.bundle: must be set/],
    [[spiffe('{}')], /^federatesWith\[0\]\.profile\.bundle\.keys: must be a list/],
    [[spiffe(undefined, 'spiffe://third.example')], /^federatesWith\[0\]\.profile\.spiffeId: must name a workload/],
    [[web, web], /^federatesWith\[1\]\.trustDomain: is there twice/],
  ])('configuration that is none is refused: %#', (domains, message) => {
    expect(() => fixture(domains)).toThrow(message);
  });
});
