import fc from 'fast-check';
import { expect, test } from 'vitest';
import { BytesBody } from '../../../src/core/body.js';
import type { Call } from '../../../src/core/call.js';
import { CancelledError } from '../../../src/core/errors.js';
import type { FaultConfig } from '../../../src/core/model/fault.js';
import type { Reply } from '../../../src/core/reply.js';
import { aCall } from '../../support/calls.js';
import { settle } from '../../support/fake-clock.js';
import { aFault, faultEnv, faulty, streamReply } from './support.js';

const share = fc.constantFrom(0, 0.3, 0.7, 1);
const policy: fc.Arbitrary<FaultConfig> = fc
  .record({
    delay: fc.option(
      fc.record({ kind: fc.constant('uniform' as const), minMs: fc.constant(0), maxMs: fc.nat(500), share }),
    ),
    abort: fc.option(
      fc.record({ kind: fc.constantFrom('http' as const, 'grpc' as const), status: fc.constant(503), share }),
    ),
    reset: fc.option(fc.record({ share })),
    throttle: fc.option(
      fc.record({ kind: fc.constant('fixed' as const), bytesPerSecond: fc.integer({ min: 1, max: 5_000 }), share }),
    ),
    truncate: fc.option(fc.record({ afterBytes: fc.nat(500), share })),
    maxActive: fc.option(fc.nat(4)),
    experiment: fc.option(fc.constant({ min: 0.5, minRequests: 5 })),
  })
  .map(({ delay, abort, reset, throttle, truncate, maxActive, experiment }) =>
    aFault({
      delay: delay ?? undefined,
      abort: abort ?? undefined,
      reset: reset ?? undefined,
      throttle: throttle ?? undefined,
      truncate: truncate ?? undefined,
      maxActive: maxActive ?? undefined,
      experiment:
        experiment === null
          ? undefined
          : { id: 'one', durationMs: 3_000, guards: [{ kind: 'success-rate', windowMs: 1_000, ...experiment }] },
    }),
  );
const step = fc.oneof(
  { weight: 4, arbitrary: fc.constant({ kind: 'call' as const }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('cancel' as const), which: fc.nat(50) }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('wait' as const), ms: fc.integer({ min: 1, max: 600 }) }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('write' as const), which: fc.nat(50), size: fc.nat(800) }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('finish' as const), which: fc.nat(50) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('leave' as const), which: fc.nat(50) }) },
);

test('whatever the policies and the schedule: every call is answered or fails once, every reply ends once, and neither place nor timer nor body is left', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(policy, { minLength: 1, maxLength: 3 }),
      fc.array(step, { maxLength: 60 }),
      fc.nat(),
      async (policies, steps, seed) => {
        const { env, clock, active } = faultEnv(seed);
        const open: ReturnType<typeof streamReply>[] = [];
        const { service, sent } = faulty(policies, env, () => {
          open.push(streamReply());
          return (open.at(-1) as ReturnType<typeof streamReply>).reply;
        });
        const calls: { call: Call; settled: number; ends: number; reply: Reply | undefined; bodyLeft: boolean }[] = [];
        const begin = (): void => {
          const body = Object.assign(new BytesBody(new Uint8Array(1)), {
            cancel: () => {
              one.bodyLeft = false;
            },
          });
          const call = aCall({ body });
          const one = { call, settled: 0, ends: 0, reply: undefined as Reply | undefined, bodyLeft: true };
          calls.push(one);
          service(call).then(
            (reply) => {
              one.settled++;
              one.reply = reply;
              reply.onEnd(() => one.ends++);
              reply.body.pipe({ write: () => true, end() {}, fail() {} });
            },
            () => one.settled++,
          );
        };
        for (const one of steps) {
          if (one.kind === 'call') begin();
          else if (one.kind === 'wait') await clock.advance(one.ms);
          else if (one.kind === 'cancel') calls[one.which % (calls.length || 1)]?.call.cancel(new CancelledError());
          else if (one.kind === 'leave') calls[one.which % (calls.length || 1)]?.reply?.body.cancel();
          else if (one.kind === 'write') open[one.which % (open.length || 1)]?.body.write(new Uint8Array(one.size));
          else open[one.which % (open.length || 1)]?.finish();
          await settle();
          expect(active.count).toBeGreaterThanOrEqual(0);
        }
        // Everything comes to its end: delays, then what was sent meanwhile, then slow bodies.
        await clock.advance(10_000);
        for (const { finish } of open) finish();
        await clock.advance(1_000_000);
        for (const { call, settled, ends, reply, bodyLeft } of calls) {
          expect([settled, ends]).toEqual([1, reply === undefined ? 0 : 1]);
          // What was not sent was let go of.
          if (!sent.includes(call)) expect(bodyLeft).toBe(false);
        }
        expect([active.count, clock.pending]).toEqual([0, 0]);
      },
    ),
    { numRuns: 150 },
  );
}, 120_000);
