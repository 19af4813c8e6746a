import { describe, expect, it } from 'vitest';
import { silentLogger } from '../../../src/core/log.js';
import { seededRandom } from '../../../src/core/random.js';
import { Asked } from '../../../src/resilience/ratelimit/asked.js';
import { FakeClock } from '../../support/fake-clock.js';

const WAIT_MS = 50;

function asking<T>(make: (clock: FakeClock) => T | Promise<T>) {
  const clock = new FakeClock();
  const events: string[] = [];
  const meter = { event: ({ kind }: { readonly kind: string }) => void events.push(kind) };
  const env = { clock, random: seededRandom(1), logger: silentLogger, meter };
  const asked = new Asked<T>(
    'store',
    WAIT_MS,
    () => make(clock),
    () => {},
    env,
  );
  return { clock, events, asked };
}

const later = (clock: FakeClock, ms: number): Promise<void> => new Promise((resolve) => void clock.after(ms, resolve));

describe('a store that must be asked', () => {
  it('is not found to answer by what is decided here without it', async () => {
    const { clock, events, asked } = asking(() => ({}));
    await asked.ask(() => Promise.resolve(1));
    let answering = false;
    let asks = 0;
    const remote = (): Promise<number> => {
      asks++;
      return answering ? Promise.resolve(2) : Promise.reject(new Error('no answer'));
    };
    for (let n = 0; n < 400; n++) {
      // From a lease.
      await asked.ask(() => 1);
      await asked.ask(remote);
      await clock.advance(10);
    }
    expect(events).toEqual(['limit:store-lost']);
    // Three, and the probes of 4 s: after 100, 200, 400, … ms.
    expect(asks).toBeLessThanOrEqual(3 + 7);
    answering = true;
    await clock.advance(2_400);
    // The probe's turn, that had no need to ask: the next call is the probe.
    expect(await asked.ask(() => 1)).toBe(1);
    expect(events).toEqual(['limit:store-lost']);
    expect(await asked.ask(remote)).toBe(2);
    expect(events).toEqual(['limit:store-lost', 'limit:store-back']);
  });

  it('has one wait for being made and for its answer; what it takes for one who went on without goes back', async () => {
    const { clock, asked } = asking(async (its) => {
      await later(its, 45);
      return {};
    });
    const given: unknown[] = [];
    let settled: number | undefined;
    const question = (): Promise<string> => later(clock, 20).then(() => 'taken');
    void Promise.resolve(asked.ask(question, (_store, answer) => given.push(answer))).then((answer) => {
      expect(answer).toBeUndefined();
      settled = clock.now();
    });
    const began = clock.now();
    for (let ms = 0; ms < 60; ms++) await clock.advance(1);
    expect(settled).toBe(began + WAIT_MS);
    expect(given).toEqual([]);
    await clock.advance(10);
    expect(given).toEqual(['taken']);
    expect(clock.pending).toBe(0);
  });

  it('that answers within the wait in which it was made is believed, and leaves no timer', async () => {
    const { clock, asked } = asking(async (its) => {
      await later(its, 20);
      return {};
    });
    const answer = asked.ask(() => later(clock, 20).then(() => 'taken'));
    await clock.advance(20);
    await clock.advance(20);
    expect(await answer).toBe('taken');
    expect(clock.pending).toBe(0);
  });
});
