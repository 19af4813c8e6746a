import { afterEach, describe, expect, test } from 'vitest';
import type { Clock } from '../../../src/core/clock.js';
import { systemClock } from '../../../src/core/clock.js';
import type { IdentityState } from '../../../src/core/identity.js';
import { DRAIN_SPREAD_MS, EXPIRED_GRACE_MS } from '../../../src/identity/tls/live.js';
import { EXPIRY_CHECK_MS } from '../../../src/identity/tls/material.js';
import { type CertificateOptions, type Issued, type TestCa, testCa } from '../../support/pki.js';
import {
  dialTls,
  echoes,
  type Ended,
  MUTUAL,
  STRICT,
  stateOf,
  TlsEcho,
  type Workload,
  workload,
} from '../../support/tls-peers.js';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const ca = testCa();
const cleanUp: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of cleanUp.splice(0).reverse()) await end();
});

/** Timers that fire when the test says so; the time of day is the real one, which OpenSSL goes by, and what the test adds to it. */
class TimerClock implements Clock {
  aheadMs = 0;
  /** Time that has gone by, by both clocks. */
  passedMs = 0;
  readonly timers = new Map<() => void, number>();

  now(): number {
    return systemClock.now() + this.passedMs;
  }

  wallTime(): number {
    return systemClock.wallTime() + this.aheadMs + this.passedMs;
  }

  after(delayMs: number, task: () => void): () => void {
    const run = (): void => {
      this.timers.delete(run);
      task();
    };
    this.timers.set(run, delayMs);
    return () => void this.timers.delete(run);
  }

  /** Without those that look at what has ended. */
  get delays(): number[] {
    return [...this.timers.values()].filter((delay) => delay !== EXPIRY_CHECK_MS);
  }

  fire(): void {
    for (const run of [...this.timers.keys()]) run();
  }
}

interface Pair {
  readonly clock: TimerClock;
  readonly server: Workload;
  readonly client: Workload;
  dial(): Promise<{ readonly ours: Ended; readonly theirs: Ended }>;
}

/** A client and a server, with time of their own. */
async function pair(server: IdentityState | undefined, client: IdentityState | undefined, aheadMs = 0): Promise<Pair> {
  const clock = new TimerClock();
  clock.aheadMs = aheadMs;
  const random = { next: () => 0.5, int: () => 0 };
  const serving = workload(server, { clock, random });
  const calling = workload(client, { clock, random });
  const echo = await TlsEcho.start(serving.tls.server(STRICT));
  const tls = calling.tls.client(MUTUAL, 'reviews');
  cleanUp.push(
    () => echo.close(),
    () => serving.tls.close(),
    () => calling.tls.close(),
  );
  return {
    clock,
    server: serving,
    client: calling,
    async dial() {
      const ours = await dialTls(echo.port, tls);
      cleanUp.push(() => ours.socket?.destroy());
      if (ours.socket !== undefined) await echoes(ours.socket);
      return { ours, theirs: await echo.last };
    },
  };
}

const reviews = (options: CertificateOptions = {}): Issued => ca.issue({ name: 'reviews', ...options });
const web = (options: CertificateOptions = {}): Issued => ca.issue({ name: 'web', ...options });
const closed = (end: Ended): Promise<void> =>
  new Promise((resolve) => (end.socket?.destroyed === true ? resolve() : end.socket?.once('close', () => resolve())));

const both = (...cas: TestCa[]): IdentityState['trust'] => ({
  kind: 'spiffe',
  bundles: new Map([['cluster.local', cas.map(({ root }) => root)]]),
});

describe('a certificate that is replaced', () => {
  test('new connections use the new one at once, and old ones go on until they are drained', async () => {
    const { clock, server, client, dial } = await pair(stateOf(reviews(), ca), stateOf(web(), ca));
    const before = await dial();
    const next = web();
    client.source.set(stateOf(next, ca));
    const after = await dial();
    expect(after.theirs.peer?.serialNumber).not.toBe(before.theirs.peer?.serialNumber);
    expect(await echoes(before.ours.socket as never)).toBe(true);
    expect([before.ours.drained, after.ours.drained]).toEqual([false, false]);
    clock.fire();
    expect([before.ours.drained, before.theirs.drained, after.ours.drained]).toEqual([true, false, false]);
    server.source.set(stateOf(reviews(), ca));
    clock.fire();
    expect([before.theirs.drained, after.theirs.drained]).toEqual([true, true]);
  });

  test('old connections are drained within ten minutes, and before half of what is left of the old certificate is over', async () => {
    const { clock, client, dial } = await pair(
      stateOf(reviews(), ca),
      stateOf(web({ notAfter: Date.now() + 12 * HOUR }), ca),
    );
    await dial();
    client.source.set(stateOf(web({ notAfter: Date.now() + 10_000 }), ca));
    expect(clock.delays).toEqual([DRAIN_SPREAD_MS / 2]);
    clock.fire();
    await dial();
    client.source.set(stateOf(web(), ca));
    const [delay] = clock.delays;
    expect(delay).toBeGreaterThan(1_000);
    expect(delay).toBeLessThanOrEqual(2_500);
  });

  test('the same state told again changes nothing', async () => {
    const identity = web();
    const { clock, client, dial } = await pair(stateOf(reviews(), ca), stateOf(identity, ca));
    const before = await dial();
    client.source.set(stateOf({ ...identity }, ca));
    clock.fire();
    expect(before.ours.drained).toBe(false);
    expect((await dial()).ours.socket?.isSessionReused()).toBe(true);
  });

  test('a state that is no good leaves the one before in its place', async () => {
    const { client, dial } = await pair(stateOf(reviews(), ca), stateOf(web(), ca));
    await dial();
    client.source.set({ identity: { ...web(), privateKey: reviews().privateKey }, trust: ca.trust() });
    expect((await dial()).ours.error).toBeUndefined();
  });
});

describe('a certificate that has ended', () => {
  const inHours = (hours: number): CertificateOptions => ({ notAfter: Date.now() + hours * HOUR });

  test('its owner is given no new calls, and loses the connection when the grace is over', async () => {
    const { clock, dial } = await pair(stateOf(reviews(inHours(6)), ca), stateOf(web(inHours(3)), ca));
    const { ours, theirs } = await dial();
    clock.passedMs = 3 * HOUR - 1;
    clock.fire();
    expect([ours.drained, theirs.drained]).toEqual([false, false]);
    clock.passedMs = 3 * HOUR + MINUTE;
    clock.fire();
    expect([ours.drained, theirs.drained]).toEqual([false, true]);
    expect(await echoes(ours.socket as never)).toBe(true);
    clock.passedMs = 3 * HOUR + EXPIRED_GRACE_MS + MINUTE;
    clock.fire();
    expect(theirs.socket?.destroyed).toBe(true);
    expect(theirs.socket?.errored).toMatchObject({ reason: 'expired' });
    await closed(ours);
  });

  test('a connection that is drained, and never ends by itself, ends with the certificate that it was made with', async () => {
    const { clock, client, dial } = await pair(stateOf(reviews(inHours(6)), ca), stateOf(web(inHours(3)), ca));
    const old = await dial();
    client.source.set(stateOf(web(inHours(9)), ca));
    clock.fire();
    const next = await dial();
    expect([old.ours.drained, next.ours.drained]).toEqual([true, false]);
    clock.passedMs = 3 * HOUR + EXPIRED_GRACE_MS + MINUTE;
    clock.fire();
    await Promise.all([closed(old.ours), closed(old.theirs)]);
    expect([next.ours.socket?.destroyed, next.ours.drained]).toEqual([false, false]);
  });

  test('one’s own that could not be replaced is left to the others to judge', async () => {
    const { clock, dial } = await pair(stateOf(reviews(inHours(3)), ca), stateOf(web(inHours(6)), ca));
    const { ours, theirs } = await dial();
    clock.passedMs = 3 * HOUR + MINUTE;
    clock.fire();
    expect([ours.drained, theirs.drained]).toEqual([true, false]);
  });

  test('a wall clock that jumps an hour ahead ends no connection', async () => {
    const { clock, dial } = await pair(stateOf(reviews({ notAfter: Date.now() + MINUTE }), ca), stateOf(web(), ca));
    const { ours, theirs } = await dial();
    clock.aheadMs = HOUR;
    clock.fire();
    expect([ours.drained, theirs.drained]).toEqual([false, false]);
    expect(await echoes(ours.socket as never)).toBe(true);
  });

  test('nothing is looked at when the connections are gone', async () => {
    const { clock, dial } = await pair(stateOf(reviews(), ca), stateOf(web(), ca));
    const { ours, theirs } = await dial();
    expect(clock.timers.size).toBeGreaterThan(0);
    ours.socket?.destroy();
    await Promise.all([closed(ours), closed(theirs)]);
    expect(clock.timers.size).toBe(0);
  });
});

describe('trust that changes', () => {
  test('a new root is trusted beside the old one, and connections live on', async () => {
    const next = testCa({ name: 'Next root' });
    const { server, client, dial } = await pair(stateOf(reviews(), ca), stateOf(web(), ca));
    const old = await dial();
    server.source.set({ identity: reviews(), trust: both(ca, next) });
    client.source.set({ identity: web(), trust: both(ca, next) });
    server.source.set({ identity: next.issue({ name: 'reviews' }), trust: both(ca, next) });
    const mixed = await dial();
    expect(mixed.ours.error).toBeUndefined();
    client.source.set({ identity: next.issue({ name: 'web' }), trust: both(ca, next) });
    expect((await dial()).ours.error).toBeUndefined();
    expect(await echoes(old.ours.socket as never)).toBe(true);
  });

  test('a root that is trusted no more ends the connections of those below it in the same turn', async () => {
    const next = testCa({ name: 'Next root' });
    const { client, dial } = await pair({ identity: reviews(), trust: both(ca, next) }, stateOf(web(), ca));
    const old = await dial();
    client.source.set({ identity: web(), trust: both(next) });
    expect(old.ours.socket?.destroyed).toBe(true);
    expect((await dial()).ours.error).toMatchObject({ reason: 'untrusted' });
    await closed(old.theirs);
  });

  test('a peer that is revoked loses its connection in the same turn, and gets no other', async () => {
    const identity = web();
    const { server, dial } = await pair(stateOf(reviews(), ca), stateOf(identity, ca));
    const before = await dial();
    server.source.set(stateOf(server.source.current?.identity as Issued, ca, [ca.crl([identity.serial])]));
    expect(before.theirs.socket?.destroyed).toBe(true);
    const after = await dial();
    expect(after.theirs.error).toMatchObject({ reason: 'revoked' });
    expect(after.theirs.error?.message).toContain('serial number');
  });

  test('a list of revocations that names others leaves a connection as it is, without drain', async () => {
    const { clock, server, dial } = await pair(stateOf(reviews(), ca), stateOf(web(), ca));
    const before = await dial();
    server.source.set(stateOf(server.source.current?.identity as Issued, ca, [ca.crl([web().serial])]));
    clock.fire();
    expect([before.theirs.drained, before.theirs.socket?.destroyed]).toEqual([false, false]);
    expect((await dial()).ours.error).toBeUndefined();
  });

  test('an intermediate that is revoked takes those below it along', async () => {
    const middle = ca.intermediate();
    const identity = middle.issue({ name: 'web' });
    const { server, dial } = await pair(stateOf(reviews(), ca), stateOf(identity, ca));
    expect((await dial()).theirs.error).toBeUndefined();
    const serial = (await import('../../../src/identity/certificate.js')).readCertificates(middle.certificate)[0]
      .serialNumber;
    const crl = ca.crl([Buffer.from(serial.padStart(serial.length + (serial.length % 2), '0'), 'hex')]);
    server.source.set(stateOf(server.source.current?.identity as Issued, ca, [crl]));
    expect((await dial()).theirs.error).toMatchObject({ reason: 'revoked' });
  });
});

describe('sessions', () => {
  test('are taken up again, and the peer is known all the same', async () => {
    const { dial } = await pair(stateOf(reviews(), ca), stateOf(web(), ca));
    const first = await dial();
    const second = await dial();
    expect([first, second].map(({ ours }) => ours.socket?.isSessionReused())).toEqual([false, true]);
    expect(second.ours.peer).toEqual(first.ours.peer);
    expect(second.theirs.peer).toEqual(first.theirs.peer);
  });

  test('are dropped with a new certificate of either side', async () => {
    const { server, client, dial } = await pair(stateOf(reviews(), ca), stateOf(web(), ca));
    await dial();
    client.source.set(stateOf(web(), ca));
    expect((await dial()).ours.socket?.isSessionReused()).toBe(false);
    expect((await dial()).ours.socket?.isSessionReused()).toBe(true);
    server.source.set(stateOf(reviews(), ca));
    expect((await dial()).ours.socket?.isSessionReused()).toBe(false);
  });

  test('a peer below an intermediate CA is known again, though it shows its own certificate only', async () => {
    const middle = ca.intermediate();
    const { dial } = await pair(stateOf(reviews(), ca), stateOf(middle.issue({ name: 'web' }), ca));
    await dial();
    const again = await dial();
    expect(again.ours.socket?.isSessionReused()).toBe(true);
    expect(again.theirs.peer?.spiffeId).toBe('spiffe://cluster.local/ns/default/sa/web');
  });
});

describe('time', () => {
  const at = (from: number, to: number): CertificateOptions => ({
    notBefore: Date.now() + from,
    notAfter: Date.now() + to,
  });

  test.each([
    ['expired 10 s ago', at(-HOUR, -10_000), undefined],
    ['expired a minute ago', at(-HOUR, -MINUTE), 'expired'],
    ['is valid in 10 s', at(10_000, HOUR), undefined],
    ['is valid in a minute', at(MINUTE, HOUR), 'not_yet_valid'],
  ])('a certificate that %s', async (_, validity, reason) => {
    const { dial } = await pair(stateOf(reviews(validity), ca), stateOf(web(validity), ca));
    const { ours, theirs } = await dial();
    expect(ours.error?.reason).toBe(reason);
    if (reason === undefined) expect(theirs.error).toBeUndefined();
  });

  test.each([
    ['ahead', -HOUR, at(-3 * HOUR, -30 * MINUTE), 'expired'],
    ['back', HOUR, at(30 * MINUTE, 3 * HOUR), 'not_yet_valid'],
  ])(
    'a wall clock that jumps %s by an hour is survived, one that always said so is not',
    async (_, before, validity, reason) => {
      const survivor = await pair(stateOf(reviews(validity), ca), stateOf(web(validity), ca), before);
      await survivor.dial();
      survivor.clock.aheadMs = 0;
      const { ours, theirs } = await survivor.dial();
      expect([ours.error, theirs.error]).toEqual([undefined, undefined]);
      const other = await pair(stateOf(reviews(validity), ca), stateOf(web(validity), ca));
      expect((await other.dial()).ours.error).toMatchObject({ reason });
    },
  );

  test('what else is wrong with a certificate that has expired 10 s ago counts all the same', async () => {
    const constrained = ca.intermediate({
      nameConstraints: { permitted: [{ type: 'uri', value: 'elsewhere.example' }] },
    });
    const { dial } = await pair(
      stateOf(constrained.issue({ name: 'reviews', ...at(-HOUR, -10_000) }), ca),
      stateOf(web(), ca),
    );
    expect((await dial()).ours.error).toMatchObject({ reason: 'name_constraint' });
  });

  test('a session is not taken up again with a peer whose certificate has expired since', async () => {
    const { clock, dial } = await pair(stateOf(reviews(at(-HOUR, HOUR)), ca), stateOf(web(), ca));
    await dial();
    clock.aheadMs = 4 * HOUR;
    const again = await dial();
    expect(again.ours.error).toMatchObject({ reason: 'expired' });
  });
});

describe('before there is a certificate', () => {
  test('a connection waits for it', async () => {
    const { client, server, dial } = await pair(undefined, undefined);
    const dialled = dial();
    client.source.set(stateOf(web(), ca));
    server.source.set(stateOf(reviews(), ca));
    expect((await dialled).ours.error).toBeUndefined();
  });

  test('what is waited for can be told, with the trouble of its source', async () => {
    const { source, tls } = workload(undefined);
    const client = tls.client(MUTUAL, 'reviews');
    const { MeshClosedError } = await import('../../../src/core/errors.js');
    const echo = await TlsEcho.start(workload(stateOf(reviews(), ca)).tls.server(STRICT));
    cleanUp.push(() => echo.close());
    const dialled = dialTls(echo.port, client);
    while (client.waitsFor === undefined) await new Promise((resolve) => setImmediate(resolve));
    expect(client.waitsFor).toBe('the first certificate of memory');
    source.fail(new MeshClosedError('no CA'));
    expect(client.waitsFor).toBe('the first certificate of memory (no CA)');
    source.set(stateOf(web(), ca));
    expect((await dialled).error).toBeUndefined();
    expect(client.waitsFor).toBeUndefined();
    (await dialled).socket?.destroy();
  });

  test('a provider instance that is not configured is an error at once', async () => {
    const echo = await TlsEcho.start(workload(stateOf(reviews(), ca)).tls.server(STRICT));
    cleanUp.push(() => echo.close());
    const client = workload(stateOf(web(), ca)).tls.client({ ...MUTUAL, identity: 'other' }, 'reviews');
    const { error } = await dialTls(echo.port, client);
    expect(error?.message).toContain('no certificate provider instance "other"');
  });
});
