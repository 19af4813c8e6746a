import { describe, expect, test } from 'vitest';
import { LATE_CLUSTER_MS } from '../../../src/client/router/late-clusters.js';
import { ClusterRegistry } from '../../../src/client/endpoints/registry.js';
import { Router } from '../../../src/client/router/router.js';
import type { AggregateClusterConfig, ClusterConfig } from '../../../src/core/model/cluster.js';
import { DEFAULT_BREAKER } from '../../../src/core/model/breaker.js';
import { DEFAULT_CIRCUIT_LIMITS } from '../../../src/core/model/circuit-limits.js';
import { DEFAULT_RETRY_BUDGET } from '../../../src/core/model/retry-budget.js';
import type { FallbackConfig } from '../../../src/core/model/fallback.js';
import { readCallPolicy } from '../../../src/core/call-policy.js';
import { CancelledError, ConfigUnavailableError } from '../../../src/core/errors.js';
import { TroubledCluster } from '../../../src/core/model/troubled-cluster.js';
import { headerFields } from '../../../src/core/headers.js';
import { DEFAULT_RETRY, type SessionPersistence } from '../../../src/core/model/route.js';
import type { TargetConfig } from '../../../src/core/model/target.js';
import { localReply, type Reply } from '../../../src/core/reply.js';
import { aCall, aReply } from '../../support/calls.js';
import { settle } from '../../support/fake-clock.js';
import { memoryEnv } from '../../support/client-env.js';
import { aCluster, aForward, aRoute } from '../../support/targets.js';

const REVIEWS = '10.0.0.1:80';
const RATINGS = '10.0.0.2:80';
const STATIC: FallbackConfig = { kind: 'static', status: 200, headers: [], body: Buffer.from('static'), grpcStatus: 0 };
const SERVICE: FallbackConfig = { kind: 'service', cluster: 'ratings' };
const BREAKER = { ...DEFAULT_BREAKER, consecutiveFailures: 2, successRate: undefined };

/** No retries: their back-off would stand still with the clock. */
const ONCE = aForward({ reviews: 1 }, { retry: { ...DEFAULT_RETRY, maxRetries: 0 } });

/** A router on `reviews`, whose endpoints answer as the test says; `ratings` is there as well. */
function routing(answers: Record<string, () => Reply>) {
  const memory = memoryEnv((endpoint) => (answers[endpoint] ?? aReply)());
  const registry = new ClusterRegistry(memory.env);
  const ratings = aCluster('ratings', [RATINGS]);
  const routes = [aRoute({ action: ONCE })];
  const target = (reviews: ClusterConfig | AggregateClusterConfig, ...more: ClusterConfig[]): TargetConfig => ({
    authority: 'reviews',
    routes,
    clusters: new Map([reviews, ratings, ...more].map((cluster) => [cluster.name, cluster])),
  });
  const ask = async (router: Router): Promise<string> => {
    const call = aCall();
    try {
      const { status, headers } = await router.service(call);
      return `${status} ${call.record.cluster} ${headers['inmesh-fallback'] ?? ''}`.trimEnd();
    } catch (error) {
      return (error as { code: string }).code;
    }
  };
  const use = (config: TargetConfig): Router => new Router(config, registry, memory.env);
  return { ...memory, registry, target, ask, use, names: () => registry.list().map(({ statName }) => statName) };
}

const inTrouble = (config: TargetConfig, trouble: TroubledCluster): TargetConfig => ({
  ...config,
  clusters: new Map([...config.clusters, ['reviews', trouble]]),
});
const reviews = (more: Partial<ClusterConfig> = {}): ClusterConfig => aCluster('reviews', [REVIEWS], more);
const down = { [REVIEWS]: () => aReply(503) };

test('a cluster that is fallen back to is made when it is needed, and outlives a change of routes', async () => {
  const up: Record<string, () => Reply> = {};
  const { use, target, ask, names, opened } = routing(up);
  const config = target(reviews({ fallback: [SERVICE] }));
  const router = use(config);
  expect(await ask(router)).toBe('200 reviews');
  expect(names()).toEqual(['reviews']);
  up[REVIEWS] = () => aReply(503);
  expect(await ask(router)).toBe('200 ratings service');
  const next = use({ ...config, routes: [aRoute({ name: 'new', action: ONCE })] });
  router.release();
  expect(names()).toEqual(['reviews', 'ratings']);
  expect(await ask(next)).toBe('200 ratings service');
  expect(opened.filter((one) => one.endsWith(RATINGS)).length).toBe(1);
  next.release();
  expect(names()).toEqual([]);
});

test('a fallback comes, changes and goes with the configuration, and connections stay', async () => {
  const { use, target, ask, opened } = routing(down);
  const router = use(target(reviews()));
  expect(await ask(router)).toBe('503 reviews');
  const update = (fallback: readonly FallbackConfig[] | undefined): boolean =>
    router.update({
      ...router.config,
      clusters: new Map([...router.config.clusters, ['reviews', reviews({ fallback })]]),
    });
  expect(update([STATIC])).toBe(true);
  expect(await ask(router)).toBe('200 reviews static');
  update([SERVICE]);
  expect(await ask(router)).toBe('200 ratings service');
  update(undefined);
  expect(await ask(router)).toBe('503 reviews');
  expect(opened.filter((one) => one.endsWith(REVIEWS)).length).toBe(1);
});

describe('a cluster that cannot be called, whose own resource is known', () => {
  const trouble = (...fallback: FallbackConfig[]) => new TroubledCluster('cluster "reviews": no endpoints', fallback);

  test('is fallen back from all the same, and from its trouble as it is now', async () => {
    const { use, target, ask, names } = routing({});
    const router = use(inTrouble(target(reviews()), trouble(STATIC)));
    expect(await ask(router)).toBe('200 reviews static');
    router.update(inTrouble(router.config, trouble(SERVICE)));
    expect(await ask(router)).toBe('200 ratings service');
    expect(names()).toEqual(['ratings']);
    router.update(inTrouble(router.config, trouble()));
    expect(await ask(router)).toBe('CONFIG_UNAVAILABLE');
    router.update(target(reviews()));
    expect(await ask(router)).toBe('200 reviews');
  });

  test('is not fallen back from by a call that brings its own fallback, or wants none', async () => {
    const { use, target } = routing({});
    const router = use(inTrouble(target(reviews()), trouble(STATIC)));
    const call = aCall(readCallPolicy({ fallback: false }, 'mesh'));
    await expect(router.service(call)).rejects.toMatchObject({ code: 'CONFIG_UNAVAILABLE' });
  });
});

describe('a cluster to fall back to that is heard of late', () => {
  const failing = () => routing(down);
  const alone = (config: TargetConfig): TargetConfig => ({
    ...config,
    clusters: new Map([...config.clusters].filter(([name]) => name === 'reviews')),
  });

  test('is waited for by the call that has failed, which it then answers', async () => {
    const { use, target, ask } = failing();
    const whole = target(reviews({ fallback: [SERVICE, STATIC] }));
    const router = use(alone(whole));
    const answer = ask(router);
    await settle();
    router.update(whole);
    expect(await answer).toBe('200 ratings service');
  });

  test('is not waited for when it is known that there is none', async () => {
    const { use, target, ask } = failing();
    const router = use(alone(target(reviews({ fallback: [SERVICE, STATIC] }))));
    const answer = ask(router);
    await settle();
    const none = new ConfigUnavailableError('no such cluster');
    router.update({ ...router.config, clusters: new Map([...router.config.clusters, ['ratings', none]]) });
    expect(await answer).toBe('200 reviews static');
  });

  test('is waited for 15 s, until the call is given up, or the destination is', async () => {
    const { use, target, ask, clock } = failing();
    const config = alone(target(reviews({ fallback: [SERVICE, STATIC] })));
    const router = use(config);
    const long = ask(router);
    await clock.advance(LATE_CLUSTER_MS + 10);
    expect(await long).toBe('200 reviews static');
    const call = aCall();
    const given = router.service(call);
    await settle();
    call.cancel(new CancelledError('gone'));
    // Nothing stands in for a call that its caller has given up.
    await expect(given).rejects.toMatchObject({ code: 'CANCELLED' });
    const last = ask(router);
    await settle();
    router.release();
    expect(await last).toBe('200 reviews static');
  });
});

test('what is kept for the stale fallback outlives a change of something else', async () => {
  const good = localReply(200, headerFields(), Buffer.from('good'));
  const up: Record<string, () => Reply> = { [REVIEWS]: () => good };
  const { use, target, ask } = routing(up);
  const fallback: FallbackConfig[] = [{ kind: 'stale', maxAgeMs: 1_000, maxEntries: 1, maxEntryBytes: 1_000 }];
  const router = use(target(reviews({ fallback })));
  const call = aCall();
  (await router.service(call)).body.pipe({ write: () => true, end() {}, fail() {} });
  up[REVIEWS] = () => aReply(503);
  router.update(target(reviews({ fallback, breaker: BREAKER })));
  expect(await ask(router)).toBe('200 reviews stale');
});

test('what a breaker refuses is not tried again, and is told apart from the endpoints’ failures', async () => {
  const { use, target, sent, events, registry } = routing(down);
  const config = target(reviews({ breaker: BREAKER }));
  const retry = {
    ...DEFAULT_RETRY,
    on: new Set(['5xx', 'connect-failure'] as const),
    maxRetries: 5,
    regardlessOfMethod: true,
  };
  const router = use({
    ...config,
    routes: [aRoute({ action: aForward({ reviews: 1 }, { retry: { ...retry, maxRetries: 0 } }) })],
  });
  await router.service(aCall());
  await router.service(aCall());
  const retrying = use({ ...config, routes: [aRoute({ action: aForward({ reviews: 1 }, { retry }) })] });
  await expect(retrying.service(aCall())).rejects.toMatchObject({ code: 'BREAKER_OPEN' });
  expect(sent.length).toBe(2);
  expect(events.map(({ kind }) => kind)).toEqual(['breaker:open']);
  expect(registry.list()[0]?.limits.requests).toBe(0);
});

test('a breaker comes and goes with the configuration, and stays open while it is there', async () => {
  const { use, target, ask } = routing(down);
  const router = use(target(reviews({ breaker: BREAKER })));
  for (let i = 0; i < 2; i++) expect(await ask(router)).toBe('503 reviews');
  expect(await ask(router)).toBe('BREAKER_OPEN');
  router.update(target(reviews({ breaker: { ...BREAKER, consecutiveFailures: 100 } })));
  expect(await ask(router)).toBe('BREAKER_OPEN');
  router.update(target(reviews()));
  expect(await ask(router)).toBe('503 reviews');
});

test('an aggregate passes over a leaf whose breaker is open, comes back to it, and falls back when all are', async () => {
  const answers: Record<string, () => Reply> = { ...down };
  const { use, target, ask, clock } = routing(answers);
  const aggregate: AggregateClusterConfig = {
    kind: 'aggregate',
    name: 'reviews',
    statName: 'reviews',
    leaves: ['near', 'far'],
    retryBudget: DEFAULT_RETRY_BUDGET,
    maxRetries: undefined,
    fallback: [STATIC],
  };
  const near = aCluster('near', [REVIEWS], { breaker: { ...BREAKER, jitter: 0 } });
  const far = aCluster('far', ['10.0.0.3:80'], { breaker: { ...BREAKER, jitter: 0 } });
  const router = use(target(aggregate, near, far));
  for (let i = 0; i < 2; i++) expect(await ask(router)).toBe('200 near static');
  expect(await ask(router)).toBe('200 far');
  answers['10.0.0.3:80'] = () => aReply(503);
  for (let i = 0; i < 3; i++) expect(await ask(router)).toMatch(/^200 (far|near) static$/);
  answers[REVIEWS] = () => aReply(200);
  await clock.advance(1_000);
  expect(await ask(router)).toBe('200 near');
});

test('no endpoint at all, and a limit that is reached, have a fallback as well', async () => {
  const { use, target, events } = routing({});
  const empty = use(target(aCluster('reviews', [], { fallback: [STATIC] })));
  expect((await empty.service(aCall())).headers['inmesh-fallback']).toBe('static');
  empty.release();
  const limits = { ...DEFAULT_CIRCUIT_LIMITS, maxRequests: 0 };
  const full = use(target(reviews({ fallback: [STATIC], limits })));
  expect((await full.service(aCall())).headers['inmesh-fallback']).toBe('static');
  expect(events.flatMap((event) => (event.kind === 'fallback' ? [event.reason] : []))).toEqual([
    'NO_ENDPOINT',
    'CIRCUIT_OPEN',
  ]);
});

describe('a session', () => {
  const session: SessionPersistence = { kind: 'header', name: 'home', strict: false };
  const SPARE_ALONE: TargetConfig['clusters'] = new Map([['ratings', aCluster('ratings', [RATINGS])]]);

  /** Where the caller is told that its session is from now on. */
  const bound = async (answers: Record<string, () => Reply>, fallback: FallbackConfig, header?: string) => {
    const memory = memoryEnv((endpoint) => (answers[endpoint] ?? aReply)());
    const config: TargetConfig = {
      authority: 'reviews',
      routes: [aRoute({ action: ONCE, session })],
      clusters: new Map([...SPARE_ALONE, ['reviews', reviews({ fallback: [fallback] })]]),
    };
    const call = aCall({ headers: headerFields(header === undefined ? {} : { home: header }) });
    const { headers } = await new Router(config, new ClusterRegistry(memory.env), memory.env).service(call);
    const home = headers['home'] as string | undefined;
    return { home: home === undefined ? undefined : Buffer.from(home, 'base64').toString(), record: call.record };
  };

  test('is bound to the endpoint that answered', async () => {
    expect((await bound({}, SERVICE)).home).toBe(REVIEWS);
  });

  test.each<[string, FallbackConfig]>([
    ['the spare cluster', SERVICE],
    ['a static reply', STATIC],
  ])('is bound to no endpoint when %s answers in its place', async (_, fallback) => {
    const { home, record } = await bound(down, fallback);
    expect(record.fallback).toBe(fallback.kind);
    expect(home).toBeUndefined();
  });

  test('stays where it is when the spare cluster answers once', async () => {
    const home = Buffer.from(REVIEWS).toString('base64');
    expect((await bound(down, SERVICE, home)).home).toBeUndefined();
  });

  test('is not bound to an endpoint of the spare cluster that has no answer either', async () => {
    const { home, record } = await bound({ ...down, [RATINGS]: () => aReply(503) }, SERVICE);
    expect(home).toBe(REVIEWS);
    expect(record).toMatchObject({ cluster: 'reviews', endpoint: REVIEWS });
  });
});
