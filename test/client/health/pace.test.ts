import { expect, test } from 'vitest';
import { Pace } from '../../../src/client/health/pace.js';
import { FakeClock } from '../../support/fake-clock.js';

test('what comes at once begins 64 in 10 ms, in order, and none is lost', async () => {
  const clock = new FakeClock();
  const pace = new Pace(clock);
  const begun: [number, number][] = [];
  for (let i = 0; i < 1_000; i++) pace.run(() => void begun.push([i, clock.now()]));
  expect(begun).toHaveLength(64);
  await clock.advance(10);
  expect(begun).toHaveLength(128);
  await clock.advance(1_000);
  expect(begun.map(([i]) => i)).toEqual(Array.from({ length: 1_000 }, (_, i) => i));
  const perTurn = new Map<number, number>();
  for (const [, at] of begun) perTurn.set(at, (perTurn.get(at) ?? 0) + 1);
  expect(Math.max(...perTurn.values())).toBe(64);
  expect(clock.pending).toBe(0);
});

test('few begin at once, and whoever leaves the line does not begin', async () => {
  const clock = new FakeClock();
  const pace = new Pace(clock);
  const begun: number[] = [];
  const leave = Array.from({ length: 66 }, (_, i) => pace.run(() => void begun.push(i)));
  leave[64]?.();
  leave[0]?.();
  await clock.advance(10);
  expect(begun.slice(-2)).toEqual([63, 65]);
});

test('whoever comes while others wait waits behind them', async () => {
  const clock = new FakeClock();
  const pace = new Pace(clock);
  const begun: number[] = [];
  for (let i = 0; i < 70; i++) pace.run(() => void begun.push(i));
  await clock.advance(10);
  pace.run(() => void begun.push(70));
  expect(begun).toHaveLength(71);
  pace.close();
  expect(clock.pending).toBe(0);
});

test('it can be used again at once after it was closed in a full turn', async () => {
  const clock = new FakeClock();
  const pace = new Pace(clock);
  for (let i = 0; i < 64; i++) pace.run(() => {});
  pace.close();
  const begun: number[] = [];
  for (let i = 0; i < 65; i++) pace.run(() => void begun.push(i));
  expect(begun).toHaveLength(64);
  await clock.advance(10);
  expect(begun).toHaveLength(65);
  await clock.advance(10);
  expect(clock.pending).toBe(0);
});
