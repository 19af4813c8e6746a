import { describe, expect, test } from 'vitest';
import { ClusterRegistry } from '../../../src/client/endpoints/registry.js';
import { SessionGoneError } from '../../../src/client/endpoints/errors.js';
import { Router } from '../../../src/client/router/router.js';
import { ConnectError } from '../../../src/client/transport/errors.js';
import { headerFields } from '../../../src/core/headers.js';
import type { AggregateClusterConfig } from '../../../src/core/model/cluster.js';
import { DEFAULT_RETRY_BUDGET } from '../../../src/core/model/retry-budget.js';
import { DEFAULT_RETRY, type SessionPersistence } from '../../../src/core/model/route.js';
import { aCall, aReply } from '../../support/calls.js';
import { memoryEnv } from '../../support/client-env.js';
import { aCluster, aForward, aRoute, aTarget } from '../../support/targets.js';
import { clusterAt, passUntil, routing, setCookies } from './support.js';

const at = (home: string) => ({ cookie: `home="${Buffer.from(home).toString('base64')}"` });

describe.each<[string, SessionPersistence, (home: string) => Record<string, string>]>([
  ['a cookie', { kind: 'cookie', name: 'home', path: '/', ttlMs: 0, strict: true }, at],
  [
    'a header',
    { kind: 'header', name: 'x-home', strict: true },
    (home) => ({ 'x-home': Buffer.from(home).toString('base64') }),
  ],
])('a strict session by %s', (_by, session, bringing) => {
  test('is made as any other, and kept', async () => {
    const { call, sent } = await routing([aRoute({ session, action: aForward({ a: 1, b: 1 }) })]);
    await call();
    const home = sent[0]?.endpoint as string;
    for (let i = 0; i < 20; i++) await call({}, bringing(`${home};cluster:${clusterAt(home)}`));
    expect(new Set(sent.map(({ endpoint }) => endpoint))).toEqual(new Set([home]));
  });

  test('whose endpoint is gone fails with NO_ENDPOINT (503, UNAVAILABLE) and goes nowhere else', async () => {
    const { call, sent } = await routing([aRoute({ session, action: aForward({ a: 1 }) })]);
    const gone = call({}, bringing('10.9.9.9:80;cluster:a'));
    await expect(gone).rejects.toBeInstanceOf(SessionGoneError);
    await expect(gone).rejects.toMatchObject({ code: 'NO_ENDPOINT', httpStatus: 503, grpcStatus: 14, flag: 'UH' });
    await expect(gone).rejects.toThrow('10.9.9.9:80');
    expect(sent).toEqual([]);
  });

  test('in a cluster that the route does not name fails too', async () => {
    const { call, sent } = await routing([aRoute({ session, action: aForward({ a: 1, b: 1 }) })]);
    await expect(call({}, bringing('10.0.0.3:80;cluster:c'))).rejects.toBeInstanceOf(SessionGoneError);
    expect(sent).toEqual([]);
  });

  test('is tried again at its endpoint, which is not another’s to serve', async () => {
    const { call, sent, clock } = await routing([aRoute({ session, action: aForward({ a: 1 }) })], () =>
      aReply(sent.length === 1 ? 503 : 200),
    );
    const replying = call({}, bringing('10.0.0.1:80;cluster:a'));
    let status: number | undefined;
    void replying.then((reply) => (status = reply.status));
    await passUntil(clock, () => status !== undefined);
    expect(status).toBe(200);
    expect(sent.map(({ endpoint }) => endpoint)).toEqual(['10.0.0.1:80', '10.0.0.1:80']);
  });
});

test('a strict session whose endpoint cannot be reached fails as the connection did, and finds it when it is back', async () => {
  let down = true;
  const session: SessionPersistence = { kind: 'cookie', name: 'home', path: '/', ttlMs: 0, strict: true };
  const action = aForward({ a: 1 }, { retry: { ...DEFAULT_RETRY, maxRetries: 0 } });
  const { call, sent } = await routing([aRoute({ session, action })], (key) => {
    if (down) throw new ConnectError(key, 'refused');
    return aReply();
  });
  await expect(call({}, at('10.0.0.1:80;cluster:a'))).rejects.toMatchObject({ code: 'CONNECT_FAILED' });
  down = false;
  const reply = await call({}, at('10.0.0.1:80;cluster:a'));
  expect(setCookies(reply.headers)).toEqual([]);
  expect(sent).toHaveLength(2);
});

test('a strict session in an aggregate is in whichever leaf has its endpoint, and in none when it is gone', async () => {
  const session: SessionPersistence = { kind: 'cookie', name: 'home', path: '/', ttlMs: 0, strict: true };
  const both: AggregateClusterConfig = {
    kind: 'aggregate',
    name: 'both',
    statName: 'both',
    leaves: ['first', 'second'],
    retryBudget: DEFAULT_RETRY_BUDGET,
    maxRetries: undefined,
  };
  const leaves = [aCluster('first', ['10.0.0.1:80']), aCluster('second', ['10.0.1.1:80'])];
  const target = aTarget([aRoute({ session, action: aForward({ both: 1 }) })], leaves);
  const { env, sent } = memoryEnv();
  const clusters = new Map([...target.clusters, ['both', both] as const]);
  const router = new Router({ ...target, clusters }, new ClusterRegistry(env), env);
  const call = (home: string) => router.service(aCall({ headers: headerFields(at(`${home};cluster:both`)) }));
  await call('10.0.1.1:80');
  expect(sent.map(({ endpoint }) => endpoint)).toEqual(['10.0.1.1:80']);
  await expect(call('10.0.9.9:80')).rejects.toBeInstanceOf(SessionGoneError);
  expect(sent).toHaveLength(1);
});
