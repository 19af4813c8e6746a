import { afterEach, describe, expect, test } from 'vitest';
import { IdentityError, MeshClosedError } from '../../src/core/errors.js';
import { systemRandom } from '../../src/core/random.js';
import { silentLogger } from '../../src/core/log.js';
import { noMeter } from '../../src/core/meter.js';
import { memoryIdentity } from '../../src/identity/sources/memory.js';
import { IDENTITY_READY_MS, type IdentityPlan, MeshIdentity } from '../../src/mesh/identity.js';
import { FakeClock } from '../support/fake-clock.js';
import { testCa } from '../support/pki.js';

const SPIFFE_ID = 'spiffe://cluster.local/ns/default/sa/a';
const state = () => ({ identity: testCa().issue({ spiffeId: SPIFFE_ID }), trust: undefined });

const open: MeshIdentity[] = [];
afterEach(() => Promise.all(open.splice(0).map((identity) => identity.close())));

function meshIdentity(plan: (instance: string) => IdentityPlan | undefined) {
  const clock = new FakeClock();
  const identity = new MeshIdentity({ plan, clock, random: systemRandom, logger: silentLogger, meter: noMeter });
  open.push(identity);
  return { identity, clock };
}

describe('the identities of a mesh', () => {
  test('are made when they are asked for, once each', async () => {
    const made: string[] = [];
    const { identity } = meshIdentity((name) => ({
      name,
      make: async () => {
        made.push(name);
        return memoryIdentity(state());
      },
    }));
    expect(made).toEqual([]);
    const source = identity.get('default');
    expect(identity.get('default')).toBe(source);
    await identity.ready();
    expect(made).toEqual(['default']);
    expect(identity.own()).toMatchObject({ spiffeId: SPIFFE_ID, source: 'default' });
    expect(JSON.stringify(identity.own())).not.toMatch(/PRIVATE|privateKey/);
  });

  test('one that is not known now may be known later', async () => {
    let known = false;
    const { identity } = meshIdentity((name) =>
      known ? { name, make: async () => memoryIdentity(state()) } : undefined,
    );
    expect(identity.get('default')).toBeUndefined();
    await expect(identity.ready()).rejects.toThrow('set the option identity of meshClient');
    known = true;
    await identity.ready();
  });

  test('ready waits for the first certificate, and tells the last trouble when none comes', async () => {
    const source = memoryIdentity();
    const { identity, clock } = meshIdentity((name) => ({ name, make: () => Promise.resolve(source) }));
    const ready = identity.ready();
    const refused = expect(ready).rejects.toThrow('the CA is down');
    await import('../../src/identity/observe.js');
    await new Promise(setImmediate);
    source.fail(new IdentityError('the CA is down'));
    await clock.advance(IDENTITY_READY_MS);
    await refused;
    source.set(state());
    await identity.ready();
  });

  test('ready fails at once where the identity is refused, says why, and succeeds when it is not any more', async () => {
    const source = memoryIdentity();
    const { identity, clock } = meshIdentity((name) => ({ name, make: () => Promise.resolve(source) }));
    const from = clock.now();
    const refused = expect(identity.ready()).rejects.toThrow('the token is spent');
    await import('../../src/identity/observe.js');
    await new Promise(setImmediate);
    source.fail(new IdentityError('the token is spent', { reason: 'refused' }));
    await refused;
    await expect(identity.ready()).rejects.toThrow('the token is spent');
    expect(clock.now()).toBe(from);
    source.set(state());
    await identity.ready();
    expect(identity.own()?.problem).toBeUndefined();
  });

  test('one that was revoked says so of itself, and one that cannot be renewed for a while does not', async () => {
    const source = memoryIdentity(state());
    const { identity } = meshIdentity((name) => ({ name, make: () => Promise.resolve(source) }));
    await identity.ready();
    source.fail(new IdentityError('the CA is down'));
    expect(identity.own()?.problem).toBeUndefined();
    source.fail(new IdentityError('it was revoked', { reason: 'revoked' }));
    expect(identity.own()).toMatchObject({ spiffeId: SPIFFE_ID, problem: 'it was revoked' });
    await identity.ready();
  });

  test('a source that cannot be made is an identity that cannot be had', async () => {
    const { identity, clock } = meshIdentity((name) => ({
      name,
      make: () => Promise.reject(new Error('no such file')),
    }));
    const refused = expect(identity.ready()).rejects.toThrow('default: no such file');
    await import('../../src/identity/observe.js');
    await new Promise(setImmediate);
    await clock.advance(IDENTITY_READY_MS);
    await refused;
  });

  test('a source that cannot be made is tried again, less and less often, until it can be', async () => {
    const attempts: number[] = [];
    let broken = true;
    const { identity, clock } = meshIdentity((name) => ({
      name,
      make: async () => {
        attempts.push(clock.now());
        if (broken) throw new Error('no such file');
        return memoryIdentity(state());
      },
    }));
    identity.want();
    await expect.poll(() => attempts.length).toBe(1);
    await clock.advance(300_000);
    const pauses = attempts.slice(1).map((at, i) => at - (attempts[i] as number));
    expect(pauses.length).toBeGreaterThan(5);
    expect(Math.min(...pauses)).toBeGreaterThanOrEqual(800);
    expect(Math.max(...pauses)).toBeLessThanOrEqual(72_000);
    broken = false;
    await clock.advance(72_000);
    await identity.ready();
    expect(identity.principal).toBe(SPIFFE_ID);
    const made = attempts.length;
    await clock.advance(300_000);
    expect(attempts).toHaveLength(made);
  });

  test('closing ends the attempts to make a source', async () => {
    let attempts = 0;
    const { identity, clock } = meshIdentity((name) => ({
      name,
      make: () => {
        attempts++;
        return Promise.reject(new Error('no such file'));
      },
    }));
    identity.want();
    await expect.poll(() => attempts).toBe(1);
    await identity.close();
    expect(clock.pending).toBe(0);
  });

  test('a token is the Workload API’s to give, and asked for without one says so', async () => {
    const { identity } = meshIdentity(() => undefined);
    await expect(identity.jwtSvid({ audience: 'a' })).rejects.toThrow('set SPIFFE_ENDPOINT_SOCKET');
  });

  test('closing ends the sources that are the mesh’s own, and those who wait', async () => {
    const mine = memoryIdentity();
    const theirs = memoryIdentity();
    const { identity, clock } = meshIdentity((name) => ({
      name,
      make: () => Promise.resolve(name === 'default' ? mine : theirs),
      foreign: name !== 'default',
    }));
    identity.get('other');
    const refused = expect(identity.ready()).rejects.toBeInstanceOf(MeshClosedError);
    await import('../../src/identity/observe.js');
    await new Promise(setImmediate);
    await identity.close();
    await refused;
    expect(() => mine.watch({ changed() {}, failed() {} })).toThrow(MeshClosedError);
    theirs.watch({ changed() {}, failed() {} })();
    expect(identity.get('default')).toBeUndefined();
    expect(clock.pending).toBe(0);
  });
});
