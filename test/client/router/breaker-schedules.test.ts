import fc from 'fast-check';
import { expect, test } from 'vitest';
import { ClusterRegistry } from '../../../src/client/endpoints/registry.js';
import { Router } from '../../../src/client/router/router.js';
import { DEFAULT_BREAKER } from '../../../src/core/model/breaker.js';
import { DEFAULT_CIRCUIT_LIMITS } from '../../../src/core/model/circuit-limits.js';
import { DEFAULT_RETRY } from '../../../src/core/model/route.js';
import type { Reply } from '../../../src/core/reply.js';
import { loadOpossum } from '../../../src/resilience/breaker/circuit.js';
import { aCall, OpenReply } from '../../support/calls.js';
import { memoryEnv } from '../../support/client-env.js';
import { settle } from '../../support/fake-clock.js';
import { aCluster, aForward, aRoute, aTarget } from '../../support/targets.js';
import { Lost } from '../../resilience/fallback/support.js';

/*
 * Calls, endings and time in any order, through limits, breaker and fallback together.
 */

const LIMIT = 4;
const BREAKER = { ...DEFAULT_BREAKER, consecutiveFailures: 3, probes: 2 };

type Step =
  | { readonly kind: 'call' }
  | { readonly kind: 'head' | 'end'; readonly which: number; readonly good: boolean }
  | { readonly kind: 'wait'; readonly ms: number };

const steps: fc.Arbitrary<Step> = fc.oneof(
  fc.record({ kind: fc.constant('call' as const) }),
  fc.record({ kind: fc.constantFrom('head' as const, 'end' as const), which: fc.nat(20), good: fc.boolean() }),
  fc.record({
    kind: fc.constant('wait' as const),
    ms: fc.oneof(fc.integer({ min: 1, max: 500 }), fc.integer({ min: 500, max: 9_000 })),
  }),
);

test('whatever the schedule, limits hold, nothing is sent through an open breaker, everybody gets an answer and nothing is left', async () => {
  await loadOpossum();
  await fc.assert(
    fc.asyncProperty(fc.array(steps, { maxLength: 120, size: '+2' }), async (schedule) => {
      const waiting: { resolve(reply: Reply): void; reject(error: Error): void }[] = [];
      const open: OpenReply[] = [];
      const memory = memoryEnv(() => new Promise((resolve, reject) => waiting.push({ resolve, reject })));
      const { clock, events, env, sent } = memory;
      const registry = new ClusterRegistry(env);
      const cluster = aCluster('reviews', ['10.0.0.1:80'], {
        limits: { ...DEFAULT_CIRCUIT_LIMITS, maxRequests: LIMIT },
        breaker: BREAKER,
        fallback: [{ kind: 'static', status: 200, headers: [], body: new Uint8Array(0), grpcStatus: 0 }],
      });
      const action = aForward({ reviews: 1 }, { timeoutMs: 0, retry: { ...DEFAULT_RETRY, maxRetries: 0 } });
      const router = new Router(aTarget([aRoute({ action })], [cluster]), registry, env);
      const answers: Promise<Reply>[] = [];
      /** Monotonic milliseconds before which nothing may be sent; and how many may be at once after it. */
      let closedUntil = 0;
      const finish = (which: number, good: boolean): void => {
        const reply = open.splice(which % open.length, 1)[0] as OpenReply;
        reply.finish(good ? {} : { error: new Lost() });
      };
      const respond = (which: number, good: boolean): void => {
        const one = waiting.splice(which % waiting.length, 1)[0] as (typeof waiting)[number];
        if (!good) return one.reject(new Lost());
        open.push(new OpenReply(200));
        one.resolve(open.at(-1) as OpenReply);
      };
      for (const step of schedule) {
        const before = { sent: sent.length, events: events.length };
        if (step.kind === 'call') answers.push(router.service(aCall()));
        else if (step.kind === 'wait') await clock.advance(step.ms);
        else if (step.kind === 'head' && waiting.length > 0) respond(step.which, step.good);
        else if (step.kind === 'end' && open.length > 0) finish(step.which, step.good);
        await settle();
        expect(waiting.length + open.length).toBeLessThanOrEqual(LIMIT);
        if (clock.now() < closedUntil) expect(sent.length).toBe(before.sent);
        for (const event of events.slice(before.events)) {
          if (event.kind === 'breaker:open') closedUntil = clock.now() + BREAKER.basePenaltyMs;
        }
      }
      while (waiting.length > 0) respond(0, true);
      await settle();
      while (open.length > 0) finish(0, true);
      for (const answer of answers) expect((await answer).status).toBe(200);
      const changes = events.flatMap(({ kind }) => (kind.startsWith('breaker:') ? [kind.slice(8)] : []));
      // Each state is followed by one that can.
      expect(changes.join(' ')).toMatch(
        /^(open half-open (open half-open )*close ?)*(open( half-open open)*( half-open)?)?$/,
      );
      expect(registry.list().map(({ limits }) => limits.requests)).toEqual(answers.length === 0 ? [] : [0]);
      await registry.close();
      env.deadlines.close();
      expect(clock.pending).toBe(0);
    }),
    { numRuns: 150 },
  );
});
