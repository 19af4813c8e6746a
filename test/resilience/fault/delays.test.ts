import { describe, expect, test } from 'vitest';
import { BytesBody } from '../../../src/core/body.js';
import { CancelledError, MeshClosedError } from '../../../src/core/errors.js';
import { headerFields } from '../../../src/core/headers.js';
import { seededRandom } from '../../../src/core/random.js';
import { stack } from '../../../src/core/service.js';
import { callDeadline } from '../../../src/resilience/deadline/deadline.js';
import { drawDelay } from '../../../src/resilience/fault/draw.js';
import { aCall, aReply } from '../../support/calls.js';
import { settle } from '../../support/fake-clock.js';
import { aFault, faultEnv, faulty, injecting } from './support.js';

const always = { share: 1 };
const delayed = (ms: number) => aFault({ delay: { kind: 'fixed', ms, ...always } });

test('a call is sent when its delay is over, and not before', async () => {
  const { env, clock, faults, active } = faultEnv();
  const { service, sent } = faulty([delayed(250)], env);
  const call = aCall();
  const replying = service(call);
  await clock.advance(249);
  expect([sent.length, active.count]).toEqual([0, 1]);
  await clock.advance(1);
  expect((await replying).status).toBe(200);
  expect([sent.length, active.count, clock.pending]).toEqual([1, 0, 0]);
  expect([faults(), call.record.flags]).toEqual([['delay'], ['DI']]);
});

test('the access log says DI though attempts after the delay forgot what was raised before them', async () => {
  const { env, clock } = faultEnv();
  const { service } = faulty([delayed(10)], env, (call) => {
    call.record.flags = undefined;
    return aReply();
  });
  const call = aCall();
  const replying = service(call);
  await clock.advance(10);
  await replying;
  expect(call.record.flags).toEqual(['DI']);
});

test('a delay is cut by the deadline, and leaves no timer and no place', async () => {
  const { env, clock, deadlines, active } = faultEnv();
  const { sent, service: below } = faulty([delayed(60_000)], env);
  const service = stack([callDeadline({ clock, deadlines })], below);
  const replying = service(aCall({ timeoutMs: 100 })).catch((error: unknown) => error);
  await clock.advance(120);
  expect(await replying).toMatchObject({ code: 'DEADLINE_EXCEEDED' });
  expect([sent.length, active.count]).toEqual([0, 0]);
  deadlines.close();
  expect(clock.pending).toBe(0);
});

test('a caller that gives up in the delay frees its place and timer at once, and the body that it would have sent', async () => {
  const { env, clock, active } = faultEnv();
  const { service, sent } = faulty([delayed(60_000)], env);
  let cancelled = 0;
  const body = Object.assign(new BytesBody(new Uint8Array(3)), { cancel: () => void cancelled++ });
  const call = aCall({ body });
  const replying = service(call).catch((error: unknown) => error);
  await settle();
  const reason = new CancelledError();
  call.cancel(reason);
  expect(await replying).toBe(reason);
  expect([sent.length, active.count, clock.pending, cancelled]).toEqual([0, 0, 0, 1]);
});

test('a mesh that closes ends the delays of its calls', async () => {
  const { env, clock, active } = faultEnv();
  const held = new Set<ReturnType<typeof aCall>>();
  const hold = (call: ReturnType<typeof aCall>) => {
    held.add(call);
    return () => void held.delete(call);
  };
  const service = injecting([delayed(60_000)], { ...env, hold })(async () => aReply());
  const replying = service(aCall()).catch((error: unknown) => error);
  for (const call of held) call.cancel(new MeshClosedError());
  expect(await replying).toMatchObject({ code: 'MESH_CLOSED' });
  expect([held.size, active.count, clock.pending]).toEqual([0, 0, 0]);
});

test('a delay may be followed by an abort', async () => {
  const { env, clock, faults } = faultEnv();
  const { service, sent } = faulty(
    [aFault({ delay: { kind: 'fixed', ms: 30, ...always }, abort: { kind: 'http', status: 503, ...always } })],
    env,
  );
  const call = aCall();
  const replying = service(call);
  await clock.advance(30);
  expect((await replying).status).toBe(503);
  expect([sent.length, faults(), call.record.flags]).toEqual([0, ['delay', 'abort'], ['DI', 'FI']]);
});

test('several policies each have their turn: the delays add up, and what aborts ends it', async () => {
  const { env, clock, faults } = faultEnv();
  const abort = aFault({ abort: { kind: 'http', status: 500, ...always } });
  const policies = [delayed(10), delayed(20), abort, delayed(40)];
  const { service, sent } = faulty(
    policies.map((policy, i) => ({ ...policy, name: `chaos-${i}` })),
    env,
  );
  const replying = service(aCall());
  await clock.advance(29);
  expect(faults()).toEqual(['delay', 'delay']);
  await clock.advance(1);
  expect((await replying).status).toBe(500);
  expect([sent.length, faults(), clock.pending]).toEqual([0, ['delay', 'delay', 'abort'], 0]);
});

test('a field says how long, where the policy leaves it to the caller', async () => {
  const { env, clock } = faultEnv();
  const { service, sent } = faulty([aFault({ delay: { kind: 'header', ...always } })], env);
  const headers = headerFields({ 'x-envoy-fault-delay-request': '53' });
  void service(aCall({ headers }));
  void service(aCall());
  await clock.advance(52);
  expect(sent.length).toBe(1);
  await clock.advance(1);
  expect(sent.length).toBe(2);
});

describe('max_active_faults', () => {
  test('holds for the whole process, whichever policy the faults are of, and lets the rest go unharmed', async () => {
    const { env, clock, faults } = faultEnv();
    const one = faulty([aFault({ delay: { kind: 'fixed', ms: 100, ...always }, maxActive: 3 })], env);
    const other = faulty([aFault({ delay: { kind: 'fixed', ms: 100, ...always } })], env);
    for (let i = 0; i < 2; i++) void other.service(aCall());
    for (let i = 0; i < 5; i++) void one.service(aCall());
    await settle();
    expect([one.sent.length, other.sent.length]).toEqual([4, 0]);
    expect(faults().filter((fault) => fault === 'overflow').length).toBe(4);
    await clock.advance(100);
    expect([one.sent.length, other.sent.length]).toEqual([5, 2]);
    void one.service(aCall());
    await settle();
    expect(one.sent.length).toBe(5);
  });

  test('an abort is over when it is answered: it stands in nobody’s way', async () => {
    const { env, active } = faultEnv();
    const { service } = faulty([aFault({ abort: { kind: 'http', status: 500, ...always }, maxActive: 1 })], env);
    const statuses = await Promise.all(Array.from({ length: 20 }, async () => (await service(aCall())).status));
    expect([statuses, active.count]).toEqual([Array(20).fill(500), 0]);
  });

  test('0 lets nothing happen', async () => {
    const { env } = faultEnv();
    const { service } = faulty([aFault({ abort: { kind: 'http', status: 500, ...always }, maxActive: 0 })], env);
    expect((await service(aCall())).status).toBe(200);
  });
});

describe('the lengths of 100,000 delays', () => {
  const DRAWS = 100_000;
  const draw = (delay: Parameters<typeof drawDelay>[0]) => {
    const random = seededRandom(3);
    const all = Array.from({ length: DRAWS }, () => drawDelay(delay, random)).sort((a, b) => a - b);
    const mean = all.reduce((sum, ms) => sum + ms, 0) / DRAWS;
    const deviation = Math.sqrt(all.reduce((sum, ms) => sum + (ms - mean) ** 2, 0) / DRAWS);
    return { mean, deviation, min: all[0] as number, max: all.at(-1) as number, all };
  };
  /** Five standard errors of a mean. */
  const near = (mean: number, expected: number, deviation: number): void =>
    expect(Math.abs(mean - expected)).toBeLessThanOrEqual((5 * deviation) / Math.sqrt(DRAWS));

  test('uniform: within its bounds, and evenly', () => {
    const { mean, min, max } = draw({ kind: 'uniform', minMs: 100, maxMs: 300 });
    near(mean, 200, 200 / Math.sqrt(12));
    expect([min >= 100, min < 101, max <= 300, max > 299]).toEqual([true, true, true, true]);
  });

  test('normal: mean and deviation are as configured', () => {
    const { mean, deviation } = draw({ kind: 'normal', meanMs: 500, deviationMs: 50, maxMs: 10_000 });
    near(mean, 500, 50);
    // The standard error of a deviation is σ / √2n.
    expect(Math.abs(deviation - 50)).toBeLessThanOrEqual((5 * 50) / Math.sqrt(2 * DRAWS));
  });

  test('normal: never below nothing, never above the most', () => {
    const { min, max } = draw({ kind: 'normal', meanMs: 10, deviationMs: 50, maxMs: 60 });
    expect([min, max]).toEqual([0, 60]);
  });

  test('exponential: mean and median are as configured, and none is above the most', () => {
    const { mean, all, min } = draw({ kind: 'exponential', meanMs: 100, maxMs: 100_000 });
    near(mean, 100, 100);
    // Of the median: 1 / (2 f(m) √n), with f(m) = 1 / (2 · mean).
    near(all[DRAWS / 2] as number, 100 * Math.LN2, 100);
    expect(min).toBeGreaterThanOrEqual(0);
    expect(draw({ kind: 'exponential', meanMs: 100, maxMs: 150 }).max).toBe(150);
  });
});
