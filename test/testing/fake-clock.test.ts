import { describe, expect, test } from 'vitest';
import { FakeClock } from '../../src/testing/fake-clock.js';

describe('FakeClock', () => {
  test('runs timers in order of time, then of setting, at their time', async () => {
    const clock = new FakeClock(0);
    const ran: [string, number][] = [];
    const note = (name: string) => () => void ran.push([name, clock.now()]);
    clock.after(20, note('b'));
    clock.after(10, note('a'));
    clock.after(20, note('c'));
    clock.after(31, note('late'));
    await clock.advance(30);
    expect(ran).toEqual([
      ['a', 10],
      ['b', 20],
      ['c', 20],
    ]);
    expect(clock.now()).toBe(30);
    expect(clock.pending).toBe(1);
  });

  test('a timer set by another runs in the same advance when it falls due', async () => {
    const clock = new FakeClock(0);
    let at = 0;
    clock.after(10, () => {
      Promise.resolve().then(() => {
        clock.after(10, () => {
          at = clock.now();
        });
      });
    });
    await clock.advance(20);
    expect(at).toBe(20);
  });

  test('a timer that was cancelled does not run', async () => {
    const clock = new FakeClock();
    let ran = false;
    clock.after(1, () => {
      ran = true;
    })();
    await clock.advance(10);
    expect(ran).toBe(false);
    expect(clock.pending).toBe(0);
  });

  test('wall time runs along', async () => {
    const clock = new FakeClock(0, 5_000);
    await clock.advance(7);
    expect(clock.wallTime()).toBe(5_007);
  });
});
