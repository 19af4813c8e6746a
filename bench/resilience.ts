/* What does each policy cost a call that succeeds, and all of them together beside opossum, cockatiel and p-retry composed by hand? */
import { tlsFactory } from '../src/identity/tls/factory.js';
import {
  bulkhead,
  circuitBreaker,
  ConsecutiveBreaker,
  ExponentialBackoff,
  handleAll,
  retry as retrying,
  TimeoutStrategy,
  timeout,
  wrap,
} from 'cockatiel';
import Opossum from 'opossum';
import pRetry from 'p-retry';
import { Cluster } from '../src/client/endpoints/cluster.js';
import { UnderWay } from '../src/client/endpoints/under-way.js';
import type { ClientEnv } from '../src/client/env.js';
import { ExtraLoad, hedged } from '../src/client/hedging.js';
import { Call } from '../src/core/call.js';
import { systemClock as clock } from '../src/core/clock.js';
import { Deadlines } from '../src/core/deadlines.js';
import { headerFields } from '../src/core/headers.js';
import { silentLogger as logger } from '../src/core/log.js';
import { noMeter as meter } from '../src/core/meter.js';
import { DEFAULT_BREAKER } from '../src/core/model/breaker.js';
import { DEFAULT_CIRCUIT_LIMITS } from '../src/core/model/circuit-limits.js';
import { DEFAULT_RETRY_BUDGET } from '../src/core/model/retry-budget.js';
import type { FallbackConfig } from '../src/core/model/fallback.js';
import { DEFAULT_HEDGE, DEFAULT_RETRY } from '../src/core/model/route.js';
import { systemRandom as random } from '../src/core/random.js';
import { localReply } from '../src/core/reply.js';
import { type Filter, stack } from '../src/core/service.js';
import { breaking, DestinationBreaker } from '../src/resilience/breaker/filter.js';
import { CircuitLimits, requestLimit } from '../src/resilience/concurrency/circuit-limits.js';
import { callDeadline } from '../src/resilience/deadline/deadline.js';
import { createFallback, fallingBack } from '../src/resilience/fallback/fallback.js';
import { RetryBudget } from '../src/resilience/retry/budget.js';
import { ReplayBody } from '../src/resilience/retry/replay.js';
import { retry } from '../src/resilience/retry/retry.js';
import { Inbound, type InboundOptions } from '../src/server/inbound.js';
import { aCluster, aForward } from '../test/support/targets.js';
import { compareCpu, report, type Side } from './lib/compare.js';

const CALLS = 100;
const TIMEOUT_MS = 15_000;
const cluster = 'reviews';
const answered = Promise.resolve(localReply(200));
const aCall = (): Call =>
  new Call({
    protocol: 'http',
    scheme: 'http',
    authority: cluster,
    method: 'GET',
    path: '/x',
    headers: headerFields(),
    timeoutMs: TIMEOUT_MS,
  });

const deadlines = new Deadlines(clock);
const noTransport = (): never => {
  throw new Error('no call comes as far');
};
const env: ClientEnv = {
  clock,
  random,
  deadlines,
  logger,
  meter,
  tracer: undefined,
  tls: tlsFactory({ clock, random, logger }),
  transports: { http1: noTransport, http2: noTransport },
};
const limits = new CircuitLimits(cluster, DEFAULT_CIRCUIT_LIMITS, meter);
const budget = new RetryBudget(DEFAULT_RETRY_BUDGET, clock);
const never = () => () => false;
const retryEnv = {
  clock,
  random,
  meter,
  cluster,
  budget,
  limits,
  others: () => true,
  headers: { ofRequest: never, ofReply: never },
};
const fallback = (kind: FallbackConfig): Filter =>
  fallingBack(createFallback([kind], { clock, logger }), {
    clock,
    meter,
    cluster,
    use: () => undefined,
    hold: () => () => {},
    replay: (body) => new ReplayBody(body),
  }) as Filter;
const breaker = (config: Partial<typeof DEFAULT_BREAKER>): Filter =>
  breaking(new DestinationBreaker({ ...DEFAULT_BREAKER, ...config }, { clock, random, meter, cluster })) as Filter;

const policies = {
  deadline: () => callDeadline({ clock, deadlines }),
  'fallback, static': () =>
    fallback({ kind: 'static', status: 200, headers: [], body: new Uint8Array(0), grpcStatus: 0 }),
  'fallback, stale': () => fallback({ kind: 'stale', maxAgeMs: 60_000, maxEntries: 100, maxEntryBytes: 65_536 }),
  'retry and its budget': () => retry(DEFAULT_RETRY, retryEnv),
  hedging: () =>
    hedged(
      DEFAULT_HEDGE,
      aForward({ [cluster]: 1 }),
      new Cluster(aCluster(cluster, []), env, new UnderWay()),
      { extra: new ExtraLoad(env), hedge: false },
      env,
      retryEnv,
      retry(DEFAULT_RETRY, retryEnv),
    ),
  limits: () => requestLimit(limits),
  'breaker by failures in a row': () => breaker({ successRate: undefined }),
  'breaker by success rate': () => breaker({}),
} satisfies Readonly<Record<string, () => Filter>>;

/** Calls one after the other, as many as are measured together. */
const inTurn = (name: string, open: () => { once: () => Promise<unknown>; close?: () => void }): Side => ({
  name,
  open: async () => {
    const { once, close } = open();
    const several = async (): Promise<void> => {
      for (let i = 0; i < CALLS; i++) await once();
    };
    return { once: several, ...(close && { close }) };
  },
});

const through = (name: string, filters: () => readonly Filter[]): Side =>
  inTurn(name, () => {
    const service = stack(filters(), () => answered);
    return { once: () => service(aCall()), close: () => deadlines.close() };
  });

const each = { what: 'call', perOnce: CALLS };

const alone = await compareCpu({
  question: 'Each policy on a null service, a call that succeeds; the call itself is in all of them',
  sides: [
    through('no policy', () => []),
    ...Object.entries(policies).map(([name, filter]) => through(name, () => [filter()])),
  ],
  each,
  concurrency: 1,
  perRun: 4_000,
  runs: 5,
});

const { deadline, limits: limit } = policies;
const together = await compareCpu({
  question: 'Time limit, one retry, at most 1,024 at once, a breaker: a call that succeeds',
  sides: [
    through('inmesh', () => [
      deadline(),
      policies['retry and its budget'](),
      limit(),
      policies['breaker by success rate'](),
    ]),
    inTurn('cockatiel', () => {
      const policy = wrap(
        timeout(TIMEOUT_MS, TimeoutStrategy.Aggressive),
        retrying(handleAll, { maxAttempts: 1, backoff: new ExponentialBackoff() }),
        bulkhead(1_024, 1_024),
        circuitBreaker(handleAll, { halfOpenAfter: 1_000, breaker: new ConsecutiveBreaker(7) }),
      );
      return { once: () => policy.execute(() => answered) };
    }),
    inTurn('p-retry around opossum, with its time limit and its capacity', () => {
      const options = { timeout: TIMEOUT_MS, capacity: 1_024, rollingPercentilesEnabled: false };
      const circuit = new Opossum(() => answered, options);
      return { once: () => pRetry(() => circuit.fire(), { retries: 1 }), close: () => circuit.shutdown() };
    }),
    inTurn('p-retry, cockatiel bulkhead, opossum without time limit', () => {
      const full = bulkhead(1_024, 1_024);
      const options = { timeout: false, rollingPercentilesEnabled: false, enableSnapshots: false } as const;
      const circuit = new Opossum(() => answered, options);
      return {
        once: () => pRetry(() => full.execute(() => circuit.fire()), { retries: 1 }),
        close: () => circuit.shutdown(),
      };
    }),
  ],
  each,
  concurrency: 1,
  perRun: 1_000,
  runs: 5,
});

/** Requests at a server: its middleware, and nothing else. */
const served = (name: string, options: InboundOptions): Side =>
  inTurn(name, () => {
    const inbound = new Inbound(options);
    const headers = {};
    return {
      async once() {
        const context = inbound.context(headers, 'http');
        if (inbound.refusal(context, 'http') === undefined) context.over();
      },
    };
  });

const atServer = await compareCpu({
  question: 'A request at a server, let in: its context, and what may refuse it',
  sides: [
    served('no policy', {}),
    served('expired work is refused', { expired: 'enforce' }),
    served('shedding', { shed: {} }),
    served('shedding, without the watch of the event loop', { shed: { maxLagMs: false } }),
  ],
  each: { what: 'request', perOnce: CALLS },
  concurrency: 1,
  perRun: 4_000,
  runs: 5,
});

report(alone, together, atServer);
