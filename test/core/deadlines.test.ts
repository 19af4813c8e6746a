import { AsyncLocalStorage, AsyncResource } from 'node:async_hooks';
import { describe, expect, test } from 'vitest';
import { Cancellation } from '../../src/core/cancellation.js';
import { Deadlines } from '../../src/core/deadlines.js';
import { CancelledError } from '../../src/core/errors.js';
import { FakeClock } from '../support/fake-clock.js';

/** As timers do: a task runs in the context in which it was set. */
class Timers extends FakeClock {
  override after(delayMs: number, task: () => void): () => void {
    return super.after(delayMs, AsyncResource.bind(task));
  }
}

describe('deadlines on one timer', () => {
  test('all fire, though the listener of one throws; what it threw is not lost', async () => {
    const clock = new FakeClock();
    const deadlines = new Deadlines(clock);
    const ran: string[] = [];
    const mistake = new Error('a mistake');
    deadlines.watch(10, () => {
      throw mistake;
    });
    deadlines.watch(10, () => ran.push('in the same slot'));
    deadlines.watch(1_000, () => ran.push('later'));
    const failed = await clock.advance(20).then(
      () => undefined,
      (error: unknown) => error,
    );
    await clock.advance(2_000);
    expect(ran).toEqual(['in the same slot', 'later']);
    expect(failed).toBe(mistake);
  });

  test('fire in no async context, neither that of whoever armed the timer nor their own', async () => {
    const clock = new Timers();
    const deadlines = new Deadlines(clock);
    const contexts = new AsyncLocalStorage<string>();
    const seen: unknown[] = [];
    contexts.run('alice', () => deadlines.watch(10, () => seen.push(contexts.getStore())));
    contexts.run('bob', () => deadlines.watch(50, () => seen.push(contexts.getStore())));
    await clock.advance(100);
    expect(seen).toEqual([undefined, undefined]);
  });
});

test('a cancellation is heard by all that listen, though one of them throws', () => {
  const cancellation = new Cancellation();
  const heard: string[] = [];
  const mistake = new Error('a mistake');
  cancellation.add(() => {
    heard.push('first');
    throw mistake;
  });
  cancellation.add(() => heard.push('second'));
  cancellation.add(() => heard.push('third'));
  expect(() => cancellation.cancel(new CancelledError('over'))).toThrow(mistake);
  expect(heard).toEqual(['first', 'second', 'third']);
});
