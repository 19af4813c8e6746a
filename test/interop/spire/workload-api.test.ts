import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { systemClock } from '../../../src/core/clock.js';
import type { IdentitySource, IdentityState } from '../../../src/core/identity.js';
import { systemRandom } from '../../../src/core/random.js';
import { workloadApiIdentity } from '../../../src/identity/workload-api/source.js';
import { Mailbox } from '../../support/mailbox.js';
import { missing, Spire } from '../../support/spire.js';

/*
 * Our client of the SPIFFE Workload API and a real SPIRE, server and agent.
 */
if (missing !== undefined) console.warn(`interop with SPIRE is skipped: ${missing}`);

describe.skipIf(missing !== undefined)('a SPIRE agent as the source of identity', () => {
  let spire: Spire;
  const sources: IdentitySource[] = [];
  beforeAll(async () => {
    spire = await Spire.start();
    await spire.register({ path: '/ns/default/sa/web', hint: 'web', x509Ttl: 6 });
    await spire.register({ path: '/ns/default/sa/api', hint: 'api' });
  }, 120_000);
  afterAll(async () => {
    await Promise.all(sources.map((it) => it.close()));
    await spire?.stop();
  });

  function watched(hint: string) {
    const options = { endpoint: spire.endpoint, clock: systemClock, random: systemRandom, hint };
    const source = workloadApiIdentity(options);
    sources.push(source);
    const states = new Mailbox<IdentityState>();
    // "No identity issued" is what the agent says until it has heard of the entries: it is asked again.
    source.watch({ changed: (state) => states.put(state), failed() {} });
    return { source, states };
  }

  test('gives X.509-SVIDs with the bundle of their trust domain, and new ones before they expire', async () => {
    const { states } = watched('web');
    const first = await states.take();
    expect(first.identity?.spiffeId).toBe('spiffe://example.org/ns/default/sa/web');
    const roots = first.trust?.kind === 'spiffe' ? first.trust.bundles.get('example.org') : undefined;
    expect(roots?.join('').trim()).toBe((await spire.bundle()).trim());
    let next = await states.take();
    // What concerns others of this process's identities is told as well.
    while (next.identity?.certificates[0] === first.identity?.certificates[0]) next = await states.take();
    expect(next.identity?.spiffeId).toBe('spiffe://example.org/ns/default/sa/web');
    expect(next.identity?.notAfter).toBeGreaterThan(first.identity?.notAfter ?? Number.POSITIVE_INFINITY);
    expect(next.identity?.notBefore).toBeLessThan(first.identity?.notAfter ?? 0);
  }, 60_000);
});
