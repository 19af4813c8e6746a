import { describe, expect, test } from 'vitest';
import { IdentityError } from '../../src/core/errors.js';
import { type MeshEvent, noMeter } from '../../src/core/meter.js';
import { observeIdentity } from '../../src/identity/observe.js';
import { memoryIdentity } from '../../src/identity/sources/memory.js';
import { FakeClock } from '../support/fake-clock.js';
import { testCa } from '../support/pki.js';

const DAY = 24 * 3_600_000;
const ca = testCa();

function fixture() {
  const clock = new FakeClock();
  const events: MeshEvent[] = [];
  const logged: string[] = [];
  const gauges = new Map<string, () => number>();
  const log = (level: string) => (message: string) => void logged.push(`${level}: ${message}`);
  const logger = { debug: log('debug'), info: log('info'), warn: log('warn'), error: log('error') };
  const meter = {
    ...noMeter,
    event: (event: MeshEvent) => void events.push(event),
    gauge(name: string, _: object, read: () => number) {
      gauges.set(name, read);
      return () => void gauges.delete(name);
    },
  };
  const source = memoryIdentity(undefined, 'files cert.pem');
  const stop = observeIdentity(source, { clock, logger, meter });
  const give = (lifetime = DAY): void => {
    const notBefore = clock.wallTime();
    source.set({ identity: ca.issue({ notBefore, notAfter: notBefore + lifetime }), trust: undefined });
  };
  return { clock, events, logged, gauges, source, give, stop };
}

describe('what is told of certificates', () => {
  test('a new one is an event, and when it expires a gauge', () => {
    const { events, gauges, clock, give, stop } = fixture();
    expect(gauges.get('identity.cert.expiration.timestamp.seconds')?.()).toBeNaN();
    give();
    give();
    expect(events.map(({ kind }) => kind)).toEqual(['identity:rotate', 'identity:rotate']);
    expect(gauges.get('identity.cert.refresh.count')?.()).toBe(2);
    expect(gauges.get('identity.cert.expiration.timestamp.seconds')?.()).toBe(
      Math.floor((clock.wallTime() + DAY) / 1000),
    );
    stop();
    expect(gauges.size).toBe(0);
    expect(clock.pending).toBe(0);
  });

  test('the same certificate with new roots is no new certificate', () => {
    const { events, source, give } = fixture();
    give();
    source.set({ identity: source.current?.identity, trust: ca.trust() });
    expect(events).toHaveLength(1);
  });

  test('one that is not replaced is reported at 70, 80 and 90 percent of its life, and when it has expired', async () => {
    const { clock, events, logged, give, source } = fixture();
    give();
    await clock.advance(0.69 * DAY);
    expect(logged).toEqual([]);
    source.fail(new IdentityError('the CA does not answer'));
    await clock.advance(0.5 * DAY);
    const expiring = events.filter((event) => event.kind === 'identity:expiring');
    expect(expiring.map(({ used }) => used)).toEqual([0.7, 0.8, 0.9, 1]);
    expect(expiring.every(({ detail }) => detail === 'the CA does not answer')).toBe(true);
    expect((expiring[0]?.expiresInMs ?? 0) / DAY).toBeCloseTo(0.3, 2);
    expect(logged.map((line) => line.split(':')[0])).toEqual(['warn', 'warn', 'warn', 'error', 'error']);
    expect(logged.at(-1)).toBe('error: the certificate has expired');
    give();
    await clock.advance(0.6 * DAY);
    expect(events.filter(({ kind }) => kind === 'identity:expiring')).toHaveLength(4);
  });

  test('an old one at the start is reported at once, and only at its present level', () => {
    const { clock, events, source } = fixture();
    const notBefore = clock.wallTime() - 0.85 * DAY;
    source.set({ identity: ca.issue({ notBefore, notAfter: notBefore + DAY }), trust: undefined });
    expect(events.filter((event) => event.kind === 'identity:expiring').map(({ used }) => used)).toEqual([0.8]);
  });

  test('trouble that lasts is an event each time, and a line in the log every five minutes', async () => {
    const { clock, events, logged, source } = fixture();
    for (let i = 0; i < 600; i++) {
      source.fail(new IdentityError('no such file'));
      await clock.advance(1_000);
    }
    expect(events).toHaveLength(600);
    expect(logged).toHaveLength(2);
  });

  test('is not one of renewal before that is due, and its end is logged as its beginning was', async () => {
    const { clock, logged, source, give } = fixture();
    give();
    const away = new IdentityError('the control plane is away');
    source.fail(away);
    source.set({ identity: source.current?.identity, trust: ca.trust() });
    source.set({ identity: source.current?.identity, trust: ca.trust() });
    await clock.advance(0.6 * DAY);
    source.fail(away);
    expect(logged).toEqual([
      'warn: the source of the identity is not heard of; the certificate is good, and who is trusted or revoked is as it was',
      'warn: the source of the identity is heard of again',
      'warn: identity cannot be renewed; what was known before stays in use',
    ]);
  });

  test('is said in words of its own where there is no identity yet, and where the one there is goes on', async () => {
    const { clock, events, logged, source, give } = fixture();
    source.fail(new IdentityError('the CA does not answer'));
    source.fail(new IdentityError('no such token', { reason: 'refused' }));
    source.fail(new IdentityError('still no such token', { reason: 'refused' }));
    give();
    source.fail(new IdentityError('the CA does not answer'));
    source.fail(new IdentityError('not you', { reason: 'refused' }));
    source.fail(new IdentityError('revoked', { reason: 'revoked' }));
    // Whoever is revoked is told whom to trust all the same.
    source.set({ identity: source.current?.identity, trust: ca.trust() });
    source.fail(new IdentityError('revoked', { reason: 'revoked' }));
    expect(logged).toEqual([
      'warn: there is no identity yet: none can be had so far',
      'error: there is no identity: it is refused',
      'warn: the source of the identity is not heard of; the certificate is good, and who is trusted or revoked is as it was',
      'error: a new certificate is refused; the one that there is stays in use until it ends',
      'error: the certificate of this workload was revoked: others refuse it, and it is not renewed',
    ]);
    const failed = events.filter((event) => event.kind === 'identity:failed');
    expect(failed.map(({ reason, kept }) => `${reason} ${kept}`)).toEqual([
      'unavailable false',
      'refused false',
      'refused false',
      'unavailable true',
      'refused true',
      'revoked true',
      'revoked true',
    ]);
    await clock.advance(1_000);
    give();
    source.fail(new IdentityError('revoked', { reason: 'revoked' }));
    expect(logged).toHaveLength(6);
  });
});
