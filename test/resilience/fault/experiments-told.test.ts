import { expect, test } from 'vitest';
import type { FaultGuard } from '../../../src/core/model/fault.js';
import { aCall } from '../../support/calls.js';
import { aFault, faultEnv, faulty } from './support.js';

/* What the log says of experiments, and whose they are. */

const rate = (min: number): FaultGuard => ({ kind: 'success-rate', min, windowMs: 10_000, minRequests: 10 });
const slow = (maxMs: number): FaultGuard => ({
  ...{ kind: 'latency', percentile: 0.99, maxMs, windowMs: 10_000, minRequests: 10 },
});
const run = (guards: readonly FaultGuard[], of: object = { abort: { kind: 'http', status: 503, share: 1 } }) =>
  aFault({ ...of, name: 'default/exp', experiment: { id: 'default/exp/1', durationMs: 60_000, guards } });
const AGAIN = 'change "run" to start it again';

test('an experiment that crosses a guard says so on the log, once, and how it may begin again', async () => {
  const { env, lines } = faultEnv();
  const { service } = faulty([run([rate(0.99)])], env);
  for (let i = 0; i < 20; i++) await service(aCall());
  expect(lines).toEqual([`warn experiment "default/exp" stopped: success-rate 0 below 0.99; ${AGAIN}`]);
});

test('a guard of durations says which of them it was', async () => {
  const { env, lines, clock } = faultEnv();
  const { service } = faulty([run([slow(50)], { delay: { kind: 'fixed', ms: 100, share: 1 } })], env);
  for (let i = 0; i < 10; i++) {
    const calling = service(aCall());
    await clock.advance(100);
    await calling;
  }
  expect(lines).toEqual([
    `warn experiment "default/exp" stopped: latency, 0 of 10 within 50 ms where 0.99 must be; ${AGAIN}`,
  ]);
});

test('one whose time is over says that, and no more', async () => {
  const { env, lines, clock } = faultEnv();
  const { service } = faulty([run([])], env);
  await clock.advance(60_000);
  await service(aCall());
  await service(aCall());
  expect(lines).toEqual([`info experiment "default/exp" stopped: its time is over; ${AGAIN}`]);
});

test('whoever changes the guards of one that has stopped is told that it stays stopped, once', async () => {
  const { env, lines } = faultEnv();
  const { service } = faulty([run([rate(0.99)])], env);
  for (let i = 0; i < 20; i++) await service(aCall());
  lines.length = 0;
  faulty([run([rate(0.99)])], env);
  expect(lines).toEqual([]);
  for (let route = 0; route < 3; route++) faulty([run([rate(0.5)])], env);
  expect(lines).toEqual([`warn experiment "default/exp" has changed and stays stopped; ${AGAIN}`]);
});

test('each mesh has experiments of its own: one that has stopped in one begins in the next', async () => {
  const first = faultEnv();
  const stopped = faulty([run([rate(0.99)])], first.env);
  for (let i = 0; i < 20; i++) await stopped.service(aCall());
  expect((await stopped.service(aCall())).status).toBe(200);
  const second = { ...faultEnv().env, clock: first.env.clock };
  expect((await faulty([run([rate(0.99)])], second).service(aCall())).status).toBe(503);
});
