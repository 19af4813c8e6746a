import { describe, expect, test } from 'vitest';
import type { X509Identity } from '../../src/core/identity.js';
import { seededRandom } from '../../src/core/random.js';
import { CLOCK_CHECK_MS, RENEWAL_TIMEOUT_MS, Renewal } from '../../src/identity/renewal.js';
import { settle } from '../support/fake-clock.js';
import { JumpingClock } from '../support/jumping-clock.js';
import { testCa } from '../support/pki.js';

const DAY = 24 * 3_600_000;
const HOUR = 3_600_000;
const sample = testCa().issue();

/** A CA by the test's clock: certificates last `lifetime`; `down` while it answers nobody. */
function fixture(lifetime = DAY, seed = 1) {
  const clock = new JumpingClock();
  const asked: number[] = [];
  const got: X509Identity[] = [];
  const failures: unknown[] = [];
  const ca = { down: false, silent: false, offset: 0, backdate: 0 };
  const issue = (): X509Identity => {
    const now = 1_700_000_000_000 + clock.now() + ca.offset;
    return { ...sample, notBefore: now - ca.backdate, notAfter: now + lifetime };
  };
  const renewal = new Renewal({
    clock,
    random: seededRandom(seed),
    async renew(signal) {
      asked.push(clock.now());
      if (ca.silent)
        return new Promise<never>((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)));
      if (ca.down) throw new Error('connection refused');
      return issue();
    },
    renewed: (identity) => void got.push(identity),
    failed: (error) => void failures.push(error),
  });
  return { clock, asked, got, failures, ca, renewal, issue };
}

describe('renewal of certificates', () => {
  test('one is asked for at once where there is none, and then at half of the lifetime, give or take a hundredth', async () => {
    const { clock, asked, renewal } = fixture();
    renewal.start();
    await settle();
    expect(asked).toHaveLength(1);
    await clock.advance(5 * DAY);
    const gaps = asked.slice(1).map((at, i) => (at - (asked[i] as number)) / DAY);
    expect([9, 10]).toContain(gaps.length);
    expect(Math.min(...gaps)).toBeGreaterThanOrEqual(0.489);
    expect(Math.max(...gaps)).toBeLessThanOrEqual(0.511);
    expect(new Set(gaps).size).toBeGreaterThan(5);
    renewal.close();
    expect(clock.pending).toBe(0);
  });

  test.each([1, 2, 3, 4, 5, 6, 7, 8])(
    'fractions of a millisecond that are left are waited for once: seed %i',
    async (seed) => {
      const { clock, asked, renewal } = fixture(HOUR, seed);
      renewal.start();
      for (let i = 0; i < 1_000; i++) {
        const pending = clock.advance(HOUR / 240);
        const turns = { left: 1_000 };
        while (turns.left-- > 0 && (await Promise.race([pending.then(() => false), settle().then(() => true)])));
        expect(turns.left).toBeGreaterThan(0);
      }
      expect([8, 9]).toContain(asked.length);
      renewal.close();
    },
  );

  test('one from before is as old as the wall clock says', async () => {
    const { clock, asked, renewal, issue } = fixture();
    const old = issue();
    await clock.advance(6 * HOUR);
    renewal.start(old);
    await clock.advance(5 * HOUR);
    expect(asked).toHaveLength(0);
    await clock.advance(2 * HOUR);
    expect(asked).toHaveLength(1);
    renewal.close();
  });

  test('one that has expired meanwhile is replaced at once', async () => {
    const { clock, asked, got, renewal, issue } = fixture();
    const old = issue();
    await clock.advance(2 * DAY);
    renewal.start(old);
    await settle();
    expect(asked).toHaveLength(1);
    expect(got).toHaveLength(1);
    renewal.close();
  });

  test('who fails is asked again, ever less often up to once a minute, and is told of each time', async () => {
    const { clock, asked, got, failures, ca, renewal } = fixture();
    ca.down = true;
    renewal.start();
    await clock.advance(10 * 60_000);
    expect(failures).toHaveLength(asked.length);
    const gaps = asked.slice(1).map((at, i) => at - (asked[i] as number));
    expect(gaps[0]).toBeLessThanOrEqual(1_200);
    expect(Math.max(...gaps)).toBeLessThanOrEqual(72_000);
    expect(gaps.at(-1)).toBeGreaterThanOrEqual(48_000);
    ca.down = false;
    await clock.advance(72_000);
    expect(got).toHaveLength(1);
    renewal.close();
  });

  test('short-lived certificates are asked for again in good time before they expire', async () => {
    const { clock, asked, got, ca, renewal } = fixture(5_000);
    renewal.start();
    await settle();
    ca.down = true;
    await clock.advance(4_000);
    expect(asked.length).toBeGreaterThan(5);
    ca.down = false;
    await clock.advance(400);
    expect(got).toHaveLength(2);
    renewal.close();
  });

  test('who does not answer is given up, and asked again', async () => {
    const { clock, asked, failures, ca, renewal } = fixture();
    ca.silent = true;
    renewal.start();
    await clock.advance(RENEWAL_TIMEOUT_MS + 2_000);
    expect(failures).toHaveLength(1);
    expect(asked).toHaveLength(2);
    renewal.close();
    await settle();
    expect(failures).toHaveLength(1);
    expect(clock.pending).toBe(0);
  });

  test('a machine that slept through it renews at the next look at the clock', async () => {
    const { clock, asked, renewal } = fixture();
    renewal.start();
    await settle();
    clock.jump(20 * HOUR);
    await clock.advance(CLOCK_CHECK_MS);
    expect(asked).toHaveLength(2);
    renewal.close();
  });

  test.each([HOUR, -HOUR])(
    'a wall clock that jumps by %d ms makes at most one renewal too many, and none late',
    async (jump) => {
      const { clock, asked, renewal } = fixture(2 * HOUR);
      renewal.start();
      await clock.advance(30 * 60_000);
      clock.jump(jump);
      await clock.advance(CLOCK_CHECK_MS);
      expect(asked).toHaveLength(jump > 0 ? 2 : 1);
      await clock.advance(10 * HOUR);
      const gaps = asked.slice(1).map((at, i) => at - (asked[i] as number));
      expect(Math.max(...gaps)).toBeLessThanOrEqual(1.03 * HOUR);
      expect(asked.length).toBeLessThanOrEqual(13);
      renewal.close();
    },
  );

  test('a CA whose clock is two days behind is asked as often as any other', async () => {
    const { clock, asked, ca, renewal } = fixture();
    ca.offset = -2 * DAY;
    renewal.start();
    await clock.advance(2 * DAY);
    expect(asked.length).toBeLessThanOrEqual(5);
    renewal.close();
  });

  test('a CA that dates its certificates back by more than they last is asked in time all the same', async () => {
    const { clock, asked, ca, renewal } = fixture(10 * 60_000);
    ca.backdate = HOUR;
    renewal.start();
    await clock.advance(HOUR);
    const gaps = asked.slice(1).map((at, i) => (at - (asked[i] as number)) / 60_000);
    expect(Math.min(...gaps)).toBeGreaterThan(4.8);
    expect(Math.max(...gaps)).toBeLessThan(5.2);
    renewal.close();
  });

  test('asked for at once, it does not wait; asked twice, it asks once', async () => {
    const { clock, asked, renewal } = fixture();
    renewal.start();
    await settle();
    renewal.now();
    renewal.now();
    await settle();
    expect(asked).toHaveLength(2);
    await clock.advance(11 * HOUR);
    expect(asked).toHaveLength(2);
    renewal.close();
    expect(clock.pending).toBe(0);
  });
});
