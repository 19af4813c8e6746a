import { expect, test } from 'vitest';
import type { Meter } from '../../../src/core/meter.js';
import { aCall, aReply } from '../../support/calls.js';
import { settle } from '../../support/fake-clock.js';
import { aFault, faultEnv, faulty } from './support.js';

/** Surroundings whose gauges can be read: by the value of `mesh.fault.policy`. */
function gauged() {
  const surroundings = faultEnv();
  const read = new Map<string, () => number>();
  const gauge: Meter['gauge'] = (name, labels, value) => {
    expect(name).toBe('mesh.faults.active');
    const policy = labels['mesh.fault.policy'] as string;
    expect(Object.keys(labels)).toEqual(['mesh.fault.policy']);
    expect(read.has(policy)).toBe(false);
    read.set(policy, value);
    return () => read.delete(policy);
  };
  const env = { ...surroundings.env, meter: { ...surroundings.env.meter, gauge } };
  return {
    ...surroundings,
    env,
    gauges: () => Object.fromEntries([...read].map(([policy, value]) => [policy, value()])),
  };
}

const DELAY = { delay: { kind: 'fixed', ms: 100, share: 1 } } as const;

test('faults under way can be read by policy, whichever of its routes they are on', async () => {
  const { env, clock, gauges } = gauged();
  const routes = [1, 2].map(() => faulty([aFault({ name: 'slow', ...DELAY })], env).service);
  const other = faulty([aFault({ name: 'other', ...DELAY })], env).service;
  expect(gauges()).toEqual({});
  const calls = [...routes, other].map((service) => service(aCall()));
  expect(gauges()).toEqual({ slow: 2, other: 1 });
  await clock.advance(100);
  await Promise.all(calls);
  expect(gauges()).toEqual({ slow: 0, other: 0 });
});

test('of policies without end, those with nothing under way are read no more', async () => {
  const { env, clock, gauges } = gauged();
  const held = faulty([aFault({ name: 'held', delay: { kind: 'fixed', ms: 1_000_000, share: 1 } })], env);
  const waiting = held.service(aCall());
  const abort = { kind: 'http', status: 500, share: 1 } as const;
  for (let i = 0; i < 1_500; i++) await faulty([aFault({ name: `${i}`, abort })], env).service(aCall());
  expect(Object.keys(gauges())).toHaveLength(1_000);
  expect(gauges()).toMatchObject({ held: 1, 1499: 0 });
  await clock.advance(1_000_000);
  await settle();
  expect((await waiting).status).toBe(aReply().status);
  expect(gauges()['held']).toBe(0);
});
