import { describe, expect, test } from 'vitest';
import { CounterSeries, counterTable } from '../../src/observability/metrics/families.js';
import { SeriesPool } from '../../src/observability/metrics/series.js';
import { FakeClock } from '../support/fake-clock.js';

const table = (pool: SeriesPool) => counterTable(pool, ['a', 'b', 'c', 'd']);

describe('SeriesTable', () => {
  test('the same values find the same series, other values another', () => {
    const counters = table(new SeriesPool({ clock: new FakeClock() }));
    counters.find('x', 1, undefined, 'y').value = 5;
    expect(counters.find('x', 1, undefined, 'y').value).toBe(5);
    expect(counters.find('x', 1, undefined, 'z').value).toBe(0);
    expect(counters.find('x', '1', undefined, 'y').value).toBe(0);
  });

  test('a label without a value is left out', () => {
    const counters = table(new SeriesPool({ clock: new FakeClock() }));
    expect(counters.find('x', undefined, 2, undefined).labels).toEqual({ a: 'x', c: 2 });
  });

  test('series beyond the bound are counted together as other, over all tables of the pool', () => {
    const pool = new SeriesPool({ clock: new FakeClock(), maxSeries: 3 });
    const first = table(pool);
    const second = table(pool);
    for (let i = 0; i < 100; i++) first.find(`host-${i}`, '', '', '').value++;
    second.find('x', '', '', '').value++;
    expect(pool.size).toBe(3);
    expect(pool.overflowed).toBe(98);
    const others = [...first, ...second].filter(({ labels }) => labels.a === 'other');
    expect(others.map(({ value }) => value)).toEqual([97, 1]);
    expect([...first, ...second].length).toBe(5);
  });

  test('a value that is longer than any name is counted as other', () => {
    const counters = table(new SeriesPool({ clock: new FakeClock() }));
    counters.find('x'.repeat(257), '', '', '').value++;
    expect([...counters].map(({ labels }) => labels.a)).toEqual(['other']);
  });

  test('a series without use for ten minutes is dropped and makes room', async () => {
    const clock = new FakeClock();
    const pool = new SeriesPool({ clock, maxSeries: 2 });
    const counters = table(pool);
    const used = counters.find('used', '', '', '');
    counters.find('idle', '', '', '');
    for (let minute = 0; minute < 11; minute++) {
      await clock.advance(60_000);
      counters.find('used', '', '', '');
    }
    expect([...counters]).toEqual([used]);
    expect(counters.find('new', '', '', '')).toBeInstanceOf(CounterSeries);
    expect(pool.overflowed).toBe(0);
    pool.close();
  });

  test('one that was dropped is not found again, though it was the last: the same values begin anew', async () => {
    const clock = new FakeClock();
    const pool = new SeriesPool({ clock });
    const counters = table(pool);
    counters.find('x', '', '', '').value = 5;
    for (let minute = 0; minute < 12; minute++) await clock.advance(60_000);
    expect([...counters]).toEqual([]);
    counters.find('x', '', '', '').value++;
    expect([...counters].map(({ value }) => value)).toEqual([1]);
    pool.close();
  });

  test('a series used nine minutes ago is still there', async () => {
    const clock = new FakeClock();
    const pool = new SeriesPool({ clock });
    const counters = table(pool);
    const series = counters.find('x', '', '', '');
    await clock.advance(9 * 60_000);
    expect([...counters]).toEqual([series]);
    pool.close();
  });

  test('no timer runs before the first series, after the last has gone, or after close', async () => {
    const clock = new FakeClock();
    const pool = new SeriesPool({ clock });
    const counters = table(pool);
    expect(clock.pending).toBe(0);
    counters.find('x', '', '', '');
    expect(clock.pending).toBe(1);
    await clock.advance(20 * 60_000);
    expect(pool.size).toBe(0);
    expect(clock.pending).toBe(0);
    counters.find('x', '', '', '');
    pool.close();
    counters.find('y', '', '', '');
    expect(clock.pending).toBe(0);
  });
});
