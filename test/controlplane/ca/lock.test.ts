import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { locked } from '../../../src/controlplane/ca/store/lock.js';
import { FakeClock } from '../../support/fake-clock.js';
import { authorities, breath } from './support.js';

const { folder, closeAll } = authorities();
afterEach(closeAll);

function gate() {
  let open = (): void => {};
  const passed = new Promise<void>((resolve) => {
    open = resolve;
  });
  return { open, passed };
}

/** Another name for the same file: in this process turns are taken by name, and so the two go by the file as two processes do. */
const asOther = (file: string): string => file.replace(/lock$/, './lock');

/** Lets `ms` pass for who waits, in steps, as it looks at the file again and again. */
async function wait(clock: FakeClock, ms: number): Promise<void> {
  for (let passed = 0; passed < ms; passed += 1_000) {
    await clock.advance(1_000);
    await breath();
  }
}

test('a holder that is alive keeps the lock for as long as it takes', async () => {
  const file = `${folder()}/lock`;
  const clock = new FakeClock();
  const { open, passed } = gate();
  const order: string[] = [];
  const slow = locked(file, clock, async () => {
    await passed;
    order.push('slow');
  });
  await breath();
  const next = locked(asOther(file), clock, async () => void order.push('next'));
  await wait(clock, 120_000);
  expect(order).toEqual([]);
  open();
  await slow;
  await wait(clock, 1_000);
  await next;
  expect(order).toEqual(['slow', 'next']);
  expect(clock.pending).toBe(0);
});

test('a holder that shows no life for half a minute loses it; it is told before it writes, and leaves the lock of the next one alone', async () => {
  const file = `${folder()}/lock`;
  const [stopped, clock] = [new FakeClock(), new FakeClock()];
  const [first, second] = [gate(), gate()];
  const lost = locked(file, stopped, async (held) => {
    await first.passed;
    await held();
  });
  await breath();
  let isTaken = false;
  const next = locked(asOther(file), clock, async (held) => {
    isTaken = true;
    await second.passed;
    await held();
    return 'done';
  });
  while (!isTaken) await wait(clock, 1_000);
  expect(clock.now()).toBeGreaterThan(30_000);
  first.open();
  await expect(lost).rejects.toThrow(/another process took over/);
  expect(await readFile(file, 'utf8')).toMatch(new RegExp(`^${process.pid} `));
  second.open();
  expect(await next).toBe('done');
  await expect(readFile(file)).rejects.toThrow(/ENOENT/);
});

test('the lock of a process that has ended is taken away at once', async () => {
  const file = join(folder(), 'lock');
  // No process has this number: the largest that Linux gives is 2^22.
  await writeFile(file, `${2 ** 22 + 1} 5d3c\n`);
  await expect(locked(file, new FakeClock(), async () => 'done')).resolves.toBe('done');
});
