import { beforeAll, expect, test } from 'vitest';
import { ClusterRegistry } from '../../src/client/endpoints/registry.js';
import { Router } from '../../src/client/router/router.js';
import { withAmbient } from '../../src/core/ambient.js';
import type { Call } from '../../src/core/call.js';
import { Cancellation } from '../../src/core/cancellation.js';
import { CancelledError } from '../../src/core/errors.js';
import { DEFAULT_HEDGE, DEFAULT_RETRY } from '../../src/core/model/route.js';
import type { Reply } from '../../src/core/reply.js';
import { stack } from '../../src/core/service.js';
import { callDeadline } from '../../src/resilience/deadline/deadline.js';
import { aCall, aReply } from '../support/calls.js';
import { memoryEnv } from '../support/client-env.js';
import { settle } from '../support/fake-clock.js';
import { aCluster, aForward, aMatch, aRoute, aTarget } from '../support/targets.js';

/* What ends when the caller of a request that is being served goes away: all that is made for it, in the same turn. */

// Loaded by the first failure; here beforehand, since a clock that stands still does not wait for a disk.
beforeAll(() => import('../../src/resilience/retry/repeat.js'));

const NOTHING_ELSE = {
  deadline: Number.POSITIVE_INFINITY,
  traceparent: undefined,
  tracestate: undefined,
  baggage: undefined,
};
const ENDPOINTS = ['10.0.0.1:80', '10.0.0.2:80'];

test('when the caller goes away all attempts of all calls end in that turn, in the order in which they were made, and what waits is never sent', async () => {
  const heard: string[] = [];
  let answer: (call: Call) => Reply | Promise<Reply> = () => aReply();
  const hangs = (call: Call): Promise<Reply> =>
    new Promise((_, reject) => {
      call.cancellation.add((reason) => {
        heard.push(`${call.path} ${call.attempt}`);
        reject(reason);
      });
    });
  const { env, clock, sent } = memoryEnv((_, call) => answer(call));
  const at = (value: string) => aMatch({ path: { kind: 'prefix', value, ignoreCase: false } });
  const hedge = { ...DEFAULT_HEDGE, delayMs: 10, maxExtraLoad: 1 };
  const slow = { ...DEFAULT_RETRY, baseMs: 10_000, maxMs: 10_000 };
  const perTry = { ...DEFAULT_RETRY, perTryTimeoutMs: 60_000 };
  const routes = [
    aRoute({ match: at('/hedged'), action: aForward({ reviews: 1 }, { hedge }) }),
    aRoute({ match: at('/limited'), action: aForward({ reviews: 1 }, { retry: perTry }) }),
    aRoute({ match: at('/waits'), action: aForward({ reviews: 1 }, { retry: slow }) }),
    aRoute(),
  ];
  const router = new Router(aTarget(routes, [aCluster('reviews', ENDPOINTS)]), new ClusterRegistry(env), env);
  const service = stack([callDeadline(env)], router.service);
  answer = (call) => (call.path === '/waits' ? aReply(503) : hangs(call));

  const gone = new Cancellation();
  const ask = (path: string): Promise<string> =>
    withAmbient({ ...NOTHING_ELSE, cancellation: gone }, () =>
      service(aCall({ path })).then(
        () => 'answered',
        ({ code }: { readonly code: string }) => code,
      ),
    );
  const asked = ['/hedged', '/plain', '/limited', '/waits'].map(ask);
  await settle();
  await clock.advance(14);
  const before = sent.length;
  expect(sent.filter(({ call }) => call.path === '/waits')).toHaveLength(1);

  gone.cancel(new CancelledError('the caller went away'));
  expect(heard).toEqual(['/hedged 1', '/hedged 2', '/plain 1', '/limited 1']);

  expect(await Promise.all(asked)).toEqual(Array(4).fill('CANCELLED'));
  await clock.advance(60_000);
  expect(sent).toHaveLength(before);
  expect(clock.pending).toBe(0);
});
