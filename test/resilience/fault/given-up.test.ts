import { describe, expect, test } from 'vitest';
import { CancelledError } from '../../../src/core/errors.js';
import { headerFields } from '../../../src/core/headers.js';
import type { FaultGuard } from '../../../src/core/model/fault.js';
import { DeadlineExceededError } from '../../../src/resilience/deadline/errors.js';
import { FaultsGate } from '../../../src/server/faults.js';
import { Inbound } from '../../../src/server/inbound.js';
import { aCall } from '../../support/calls.js';
import { settle } from '../../support/fake-clock.js';
import { aFault, faultEnv, faulty } from './support.js';

/* Who leaves while a delay of ours holds it up has told what the delay does. */

const BOUNDS = { windowMs: 10_000, minRequests: 10 };
const GUARDS: Readonly<Record<FaultGuard['kind'], FaultGuard>> = {
  'success-rate': { kind: 'success-rate', min: 0.9, ...BOUNDS },
  latency: { kind: 'latency', percentile: 0.9, maxMs: 1_000, ...BOUNDS },
};
const delaying = (kind: FaultGuard['kind'], ms: number) =>
  aFault({
    delay: { kind: 'fixed', ms, share: 1 },
    experiment: { id: 'one', durationMs: 60_000, guards: [GUARDS[kind]] },
  });
const stopsOf = (events: readonly { readonly kind: string }[]) =>
  events.filter(({ kind }) => kind === 'experiment:stopped');

describe.each(['success-rate', 'latency'] as const)('an experiment with a guard of %s', (kind) => {
  const stopped = { kind: 'experiment:stopped', policy: 'chaos', reason: kind };

  test.each([new CancelledError(), new DeadlineExceededError('too late', 'no')])(
    'is stopped by calls that end while it holds them up: %s',
    async (reason) => {
      const { env, clock, events } = faultEnv();
      const { service, sent } = faulty([delaying(kind, 5_000)], env);
      for (let i = 0; i < 10; i++) {
        expect(stopsOf(events)).toEqual([]);
        const call = aCall();
        const ended = service(call).catch((error: unknown) => error);
        await clock.advance(50);
        call.cancellation.cancel(reason);
        expect(await ended).toBe(reason);
      }
      expect([stopsOf(events), sent.length, clock.pending]).toEqual([[stopped], 0, 0]);
    },
  );

  test('is stopped on a server by requests whose callers leave while it holds them up', async () => {
    const { env, clock, events } = faultEnv();
    const gate = new FaultsGate([delaying(kind, 5_000)], env);
    const inbound = new Inbound({ clock });
    for (let i = 0; i < 10; i++) {
      expect(stopsOf(events)).toEqual([]);
      const view = {
        ...({ protocol: 'http', scheme: 'http', method: 'GET', path: '/', host: 'a', peer: '10.0.0.1' } as const),
        ...{ headers: headerFields(), raw: {} },
      };
      const context = inbound.context({}, 'http');
      context.makeView = () => view;
      const passage = gate.refusal(context);
      await clock.advance(50);
      context.callerGone();
      await passage;
      await settle();
    }
    expect([stopsOf(events), clock.pending]).toEqual([[stopped], 0]);
  });
});

test('a delay that is within the bound crosses no guard of latency, whoever leaves meanwhile', async () => {
  const { env, clock, events } = faultEnv();
  const { service } = faulty([delaying('latency', 900)], env);
  for (let i = 0; i < 20; i++) {
    const call = aCall();
    const ended = service(call).catch(() => {});
    await clock.advance(50);
    call.cancellation.cancel(new CancelledError());
    await ended;
  }
  expect(stopsOf(events)).toEqual([]);
});
