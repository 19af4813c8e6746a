import { describe, expect, test } from 'vitest';
import { ClusterRegistry } from '../../../src/client/endpoints/registry.js';
import { Router } from '../../../src/client/router/router.js';
import type { FallbackConfig } from '../../../src/core/model/fallback.js';
import { DEFAULT_RETRY } from '../../../src/core/model/route.js';
import type { TargetConfig } from '../../../src/core/model/target.js';
import { TroubledCluster } from '../../../src/core/model/troubled-cluster.js';
import { localReply } from '../../../src/core/reply.js';
import { aCall, aReply } from '../../support/calls.js';
import { memoryEnv } from '../../support/client-env.js';
import { aCluster, aForward, aRoute } from '../../support/targets.js';
import { STALE, STATIC, textOf } from './support.js';

/* A cluster that cannot be called, for trouble with its configuration: its fallbacks answer, and what they remember they remember before and after. */

const ONCE = aForward({ reviews: 1 }, { retry: { ...DEFAULT_RETRY, maxRetries: 0 } });

function reviews(fallback: readonly FallbackConfig[]) {
  let up = true;
  const memory = memoryEnv((endpoint) => {
    if (endpoint.startsWith('10.0.0.2')) return localReply(200, Object.create(null), Buffer.from('ratings'));
    return up ? localReply(200, Object.create(null), Buffer.from('good')) : aReply(503);
  });
  const env = { ...memory.env, fallbacks: { mine: () => ({ body: 'mine' }) } };
  const routes = [aRoute({ action: ONCE })];
  const well = (of = fallback) => aCluster('reviews', ['10.0.0.1:80'], { fallback: of });
  const target = (state: ReturnType<typeof well> | TroubledCluster): TargetConfig => ({
    authority: 'reviews',
    routes,
    clusters: new Map<string, never>([
      ['reviews', state as never],
      ['ratings', aCluster('ratings', ['10.0.0.2:80']) as never],
    ]),
  });
  const router = new Router(target(well()), new ClusterRegistry(env), env);
  return {
    clock: memory.clock,
    down: () => {
      up = false;
    },
    trouble: (of = fallback) => router.update(target(new TroubledCluster('no endpoints', of))),
    recover: (of = fallback) => router.update(target(well(of))),
    ask: (path = '/'): Promise<string> =>
      router.service(aCall({ path })).then(
        async (reply) => `${reply.status} ${await textOf(reply)} ${reply.headers['inmesh-fallback'] ?? ''}`.trim(),
        (error: { readonly code: string }) => error.code,
      ),
  };
}

test.each([
  ['another service', { kind: 'service', cluster: 'ratings' }, '200 ratings service'],
  ['a static reply', STATIC, '200 [] static'],
  ['a function', { kind: 'function', name: 'mine' }, '200 mine function'],
  ['the last good reply', STALE, '200 good stale'],
] as const)('%s answers while there is trouble, and not after it', async (_, kind, expected) => {
  const { ask, trouble, recover } = reviews([kind]);
  expect(await ask()).toBe('200 good');
  trouble();
  expect([await ask(), await ask()]).toEqual([expected, expected]);
  recover();
  expect(await ask()).toBe('200 good');
});

describe('the last good replies', () => {
  test('are those from before the trouble, for as long as they serve', async () => {
    const { ask, trouble, clock } = reviews([STALE]);
    await ask();
    await clock.advance(STALE.maxAgeMs - 1);
    trouble();
    expect([await ask(), await ask('/other')]).toEqual(['200 good stale', 'CONFIG_UNAVAILABLE']);
    await clock.advance(2);
    expect(await ask()).toBe('CONFIG_UNAVAILABLE');
  });

  test('are there after the trouble, too', async () => {
    const { ask, trouble, recover, down } = reviews([STALE]);
    await ask();
    for (let i = 0; i < 3; i++) {
      trouble();
      recover();
    }
    down();
    expect(await ask()).toBe('200 good stale');
  });

  test('are forgotten when what is to be kept is another', async () => {
    const { ask, trouble } = reviews([STALE]);
    await ask();
    trouble([{ ...STALE, maxEntries: 2 }]);
    expect(await ask()).toBe('CONFIG_UNAVAILABLE');
  });
});
