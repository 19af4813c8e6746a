import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { systemClock } from '../../../src/core/clock.js';
import type { MeshError } from '../../../src/core/errors.js';
import type { IdentitySource, IdentityState } from '../../../src/core/identity.js';
import { seededRandom } from '../../../src/core/random.js';
import { type WorkloadApiSourceOptions, workloadApiIdentity } from '../../../src/identity/workload-api/source.js';
import { FakeClock } from '../../support/fake-clock.js';
import { Mailbox } from '../../support/mailbox.js';
import { testCa } from '../../support/pki.js';
import { identitySourceContract } from '../source-contract.js';
import { WorkloadApiServer, x509Svid, x509Svids } from '../../support/workload-api-server.js';

const ca = testCa({ trustDomain: 'example.org' });
const other = testCa({ trustDomain: 'partner.example' });

let folder: string;
let server: WorkloadApiServer;
const sources: IdentitySource[] = [];
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'inmesh-workload-api-'));
  server = await WorkloadApiServer.start(join(folder, 'agent.sock'));
});
afterEach(async () => {
  await Promise.all(sources.splice(0).map((it) => it.close()));
  await server.stop();
  await rm(folder, { recursive: true, force: true });
});

function watched(options: Partial<WorkloadApiSourceOptions> = {}) {
  const source = workloadApiIdentity({
    endpoint: server.endpoint,
    clock: systemClock,
    random: seededRandom(1),
    ...options,
  });
  sources.push(source);
  const states = new Mailbox<IdentityState>();
  const troubles = new Mailbox<MeshError>();
  source.watch({ changed: (state) => states.put(state), failed: (error) => troubles.put(error) });
  return { source, states, troubles };
}

describe('the SPIFFE Workload API as a source', () => {
  identitySourceContract(async () => {
    const own = await mkdtemp(join(tmpdir(), 'inmesh-workload-api-'));
    const agent = await WorkloadApiServer.start(join(own, 'agent.sock'));
    const clock = new FakeClock();
    return {
      source: workloadApiIdentity({ endpoint: agent.endpoint, clock, random: seededRandom(1) }),
      give: (issued, root) => agent.say('FetchX509SVID', x509Svids([x509Svid(issued, [root])])),
      trouble: () => agent.say('FetchX509SVID', { code: 14, details: 'the agent has lost its server' }),
      async wait() {
        await new Promise((resolve) => setImmediate(resolve));
        await clock.advance(10);
      },
      async end() {
        await agent.stop();
        await rm(own, { recursive: true });
        expect(clock.pending).toBe(0);
      },
    };
  });
});

describe('the SPIFFE Workload API as a source of identity', () => {
  test('gives the first identity of a workload, with the bundles of its own and of federated trust domains', async () => {
    const [web, admin] = [ca.issue({ name: 'web' }), ca.issue({ name: 'admin' })];
    const federated = { 'spiffe://partner.example': [other.root] };
    server.say('FetchX509SVID', x509Svids([x509Svid(web, [ca.root]), x509Svid(admin, [ca.root])], federated));
    const { source, states } = watched();
    const state = await states.take();
    expect(source.current).toBe(state);
    expect(state.identity?.spiffeId).toBe('spiffe://example.org/ns/default/sa/web');
    expect(state.identity?.certificates).toEqual(web.certificates);
    expect(state.identity?.privateKey.equals(web.privateKey)).toBe(true);
    expect([state.identity?.notBefore, state.identity?.notAfter]).toEqual([web.notBefore, web.notAfter]);
    const bundles = new Map([
      ['partner.example', [other.root]],
      ['example.org', [ca.root]],
    ]);
    expect(state.trust).toEqual({ kind: 'spiffe', bundles });
    expect(server.calls).toEqual([{ method: 'FetchX509SVID', header: ['true'] }]);
  });

  test('takes a chain with an intermediate apart', async () => {
    const web = ca.intermediate().issue({ name: 'web' });
    server.say('FetchX509SVID', x509Svids([x509Svid(web, [ca.root])]));
    const { states } = watched();
    expect((await states.take()).identity?.certificates).toEqual(web.certificates);
  });

  test('each message replaces the one before: what it does not have is gone', async () => {
    const crl = ca.crl([]);
    const federated = { 'spiffe://partner.example': [other.root] };
    server.say('FetchX509SVID', x509Svids([x509Svid(ca.issue(), [ca.root])], federated, [derCrl(crl)]));
    const { states } = watched();
    expect((await states.take()).crls).toEqual([crl]);
    const rotated = ca.issue();
    server.say('FetchX509SVID', x509Svids([x509Svid(rotated, [ca.root])]));
    const state = await states.take();
    expect(state.identity?.certificates).toEqual(rotated.certificates);
    expect(state.trust).toEqual(ca.trust());
    expect(state.crls).toEqual([]);
  });

  test.each([{ hint: 'internal' }, { spiffeId: 'spiffe://example.org/ns/default/sa/inside' }])(
    'gives the identity that was asked for: %o',
    async (choice) => {
      const svids = [x509Svid(ca.issue({ name: 'outside' }), [ca.root], 'external')];
      svids.push(x509Svid(ca.issue({ name: 'inside' }), [ca.root], 'internal'));
      // "In the event that a client encounters more than one message with the same hint, the first SHOULD be selected"
      svids.push(x509Svid(ca.issue({ name: 'again' }), [ca.root], 'internal'));
      server.say('FetchX509SVID', x509Svids(svids));
      const { states } = watched(choice);
      const { identity } = await states.take();
      expect([identity?.spiffeId, identity?.hint]).toEqual(['spiffe://example.org/ns/default/sa/inside', 'internal']);
    },
  );

  test('an identity that the workload does not have is named, with those that it has', async () => {
    server.say('FetchX509SVID', x509Svids([x509Svid(ca.issue(), [ca.root], 'external')]));
    const { source, troubles } = watched({ hint: 'internal' });
    expect((await troubles.take()).message).toMatch(
      /no identity with hint "internal", but "spiffe:\/\/example.org\/ns\/default\/sa\/web" \(hint "external"\)/,
    );
    expect(source.current).toBeUndefined();
  });

  test('what is malformed, or lacks what it must have, is told and dropped; what was known stands', async () => {
    const web = ca.issue();
    server.say('FetchX509SVID', x509Svids([x509Svid(web, [ca.root])]));
    const { source, states, troubles } = watched();
    const good = await states.take();
    const foreign = { ...web, privateKey: ca.issue().privateKey };
    const bad = [
      new Uint8Array(0),
      Buffer.from('no message'),
      x509Svids([x509Svid(web, [])]),
      x509Svids([x509Svid({ ...web, spiffeId: '' }, [ca.root])]),
      x509Svids([x509Svid({ ...web, spiffeId: 'spiffe://EXAMPLE.org/web' }, [ca.root])]),
      x509Svids([x509Svid(foreign, [ca.root])]),
      x509Svids([x509Svid(web, [ca.root])], { 'https://partner.example': [other.root] }),
    ];
    for (const message of bad) {
      server.say('FetchX509SVID', message);
      const trouble = await troubles.take();
      expect(trouble.code).toBe('IDENTITY_UNAVAILABLE');
      expect(trouble.message).toMatch(/workload API unix:/);
    }
    expect(source.current).toBe(good);
    server.say('FetchX509SVID', x509Svids([x509Svid(ca.issue(), [ca.root])]));
    await states.take();
  });

  test('asks again after a backoff when there is no identity yet, and keeps what it has when it is told so later', async () => {
    server.say('FetchX509SVID', { code: 7, details: 'no identity issued' });
    const clock = new FakeClock();
    const { source, states, troubles } = watched({ clock });
    expect((await troubles.take()).message).toMatch(/no identity issued/);
    server.say('FetchX509SVID', x509Svids([x509Svid(ca.issue(), [ca.root])]));
    await clock.advance(1_500);
    const state = await states.take();
    server.say('FetchX509SVID', { code: 7, details: 'no identity issued' });
    await troubles.take();
    expect(source.current).toBe(state);
  });

  test('a server that restarts is found again, without trouble told of a stream that ended well', async () => {
    server.say('FetchX509SVID', x509Svids([x509Svid(ca.issue(), [ca.root])]));
    const clock = new FakeClock();
    const { states, troubles } = watched({ clock });
    await states.take();
    server.drop();
    const rotated = ca.issue();
    server.say('FetchX509SVID', x509Svids([x509Svid(rotated, [ca.root])]));
    const next = states.take();
    await clockUntil(clock, next);
    expect((await next).identity?.certificates).toEqual(rotated.certificates);
    expect(troubles.size).toBe(0);
  });

  test('an agent that is not there yet is waited for', async () => {
    await server.stop();
    const clock = new FakeClock();
    const { states, troubles } = watched({ clock });
    expect((await troubles.take()).message).toMatch(/gRPC status 14/);
    server = await WorkloadApiServer.start(join(folder, 'agent.sock'));
    server.say('FetchX509SVID', x509Svids([x509Svid(ca.issue(), [ca.root])]));
    const next = states.take();
    await clockUntil(clock, next);
    await next;
  });

  test('is not asked again once it says that the question is wrong', async () => {
    server.say('FetchX509SVID', { code: 3, details: 'security header missing from request' });
    const clock = new FakeClock();
    const { troubles } = watched({ clock });
    expect(await troubles.take()).toMatchObject({
      reason: 'refused',
      message: expect.stringMatching(/security header missing.*not asked again/),
    });
    expect(clock.pending).toBe(0);
  });

  test('closing leaves no stream and no timer', async () => {
    server.say('FetchX509SVID', x509Svids([x509Svid(ca.issue(), [ca.root])]));
    const clock = new FakeClock();
    const { source, states } = watched({ clock });
    await states.take();
    expect(server.listeners('FetchX509SVID')).toBe(1);
    await source.close();
    await expect.poll(() => server.listeners('FetchX509SVID')).toBe(0);
    expect(clock.pending).toBe(0);
    expect(() => source.watch({ changed() {}, failed() {} })).toThrow(/closed/);
  });
});

/** Lets time pass until the promise settles. */
async function clockUntil(clock: FakeClock, promise: Promise<unknown>): Promise<void> {
  let done = false;
  void promise.then(() => {
    done = true;
  });
  await expect
    .poll(() => {
      void clock.advance(1_000);
      return done;
    })
    .toBe(true);
}

const derCrl = (text: string): Uint8Array => Buffer.from(text.replace(/-----[^-]+-----|\s/g, ''), 'base64');
