import { describe, expect, test } from 'vitest';
import { ClusterRegistry } from '../../../src/client/endpoints/registry.js';
import { Router } from '../../../src/client/router/router.js';
import { BytesBody } from '../../../src/core/body.js';
import { headerFields } from '../../../src/core/headers.js';
import type { FaultConfig } from '../../../src/core/model/fault.js';
import type { ForwardAction, HeaderMutation, Route, WeightedCluster } from '../../../src/core/model/route.js';
import { faults } from '../../../src/resilience/fault/filter.js';
import { aCall, aReply } from '../../support/calls.js';
import { memoryEnv } from '../../support/client-env.js';
import { aCluster, aForward, aRoute, aTarget } from '../../support/targets.js';
import { aFault, faultEnv } from './support.js';

/* Where faults stand among what else a route does. */

const abort = (status: number, more: Partial<FaultConfig> = {}): FaultConfig =>
  aFault({ abort: { kind: 'http', status, share: 1 }, ...more });
const adds = (name: string, value: string): HeaderMutation => ({
  remove: [],
  set: [{ name, value, action: 'overwrite' }],
});
const exactly = (name: string, value: string): FaultConfig['headers'][number] => ({
  name,
  match: { kind: 'exact', value, ignoreCase: false },
  invert: false,
  treatMissingAsEmpty: false,
});

function routed(route: Partial<Route>, clusters: readonly string[] = ['reviews'], answer = () => aReply()) {
  const memory = memoryEnv(answer);
  const registry = new ClusterRegistry(memory.env);
  const all = clusters.map((name, i) => aCluster(name, [`10.0.0.${i + 1}:80`]));
  const router = new Router(aTarget([aRoute(route)], all), registry, memory.env);
  return { ...memory, registry, service: router.service };
}

test('an injected abort is not tried again, though the route retries', async () => {
  const action = aForward(
    { reviews: 1 },
    {
      retry: {
        on: new Set(['5xx']),
        statusCodes: new Set(),
        maxRetries: 3,
        perTryTimeoutMs: undefined,
        baseMs: 0,
        maxMs: 0,
        regardlessOfMethod: true,
      },
    },
  );
  const { service, sent, events } = routed({ action, faults: [abort(503)] });
  expect((await service(aCall())).status).toBe(503);
  expect([sent.length, events]).toEqual([0, [{ kind: 'fault', policy: 'chaos', fault: 'abort' }]]);
});

test('faults see the call as it came, and replies of theirs are changed as the route changes all', async () => {
  const { service, sent } = routed({
    requestHeaders: adds('x-user', 'tester'),
    responseHeaders: adds('x-route', 'changed'),
    action: aForward({ reviews: 1 }, { pathRewrite: { kind: 'full', value: '/new' } }),
    faults: [
      abort(503, { headers: [exactly('x-user', 'tester')] }),
      abort(418, { headers: [exactly(':path', '/old')] }),
    ],
  });
  const asked = await service(aCall({ path: '/old' }));
  expect([asked.status, asked.headers['x-route']]).toEqual([418, 'changed']);
  expect((await service(aCall({ path: '/new' }))).status).toBe(200);
  expect(sent[0]?.call.headers['x-user']).toBe('tester');
});

test('a call that is aborted has no copies', async () => {
  const action = aForward(
    { reviews: 1 },
    {
      mirrors: [{ cluster: 'copy', share: 1, shadowSuffix: true, hostRewrite: undefined, requestHeaders: undefined }],
    },
  );
  const { service, sent } = routed({ action, faults: [abort(503)] }, ['reviews', 'copy']);
  await service(aCall({ method: 'POST', body: new BytesBody(Buffer.from('x')) }));
  expect(sent).toEqual([]);
});

describe('a weighted cluster', () => {
  const weighted = (first: Partial<WeightedCluster>): ForwardAction => {
    const action = aForward({ a: 1, b: 1 }, { weightedByHeader: 'x-which' });
    const [a, b] = action.clusters as readonly WeightedCluster[] as [WeightedCluster, WeightedCluster];
    return { ...action, clusters: [{ ...a, ...first }, b] };
  };
  const to = (which: string) => aCall({ headers: headerFields({ 'x-which': which }) });

  test('has faults of its own in place of the route’s', async () => {
    const { service } = routed({ action: weighted({ own: { faults: [abort(418)] } }), faults: [abort(503)] }, [
      'a',
      'b',
    ]);
    expect([(await service(to('0'))).status, (await service(to('1'))).status]).toEqual([418, 503]);
  });

  test('is told from the others by its name', async () => {
    const { service } = routed({ action: weighted({}), faults: [abort(503, { cluster: 'a' })] }, ['a', 'b']);
    expect([(await service(to('0'))).status, (await service(to('1'))).status]).toEqual([503, 200]);
  });
});

describe('a route that answers by itself', () => {
  test.each([
    ['a direct response', { kind: 'direct', status: 200, body: Buffer.from('direct') }],
    [
      'a redirect',
      {
        kind: 'redirect',
        status: 301,
        scheme: undefined,
        host: 'other',
        port: undefined,
        path: undefined,
        stripQuery: false,
      },
    ],
  ] as const)('has its faults as well: %s', async (_, action) => {
    const { service } = routed({ action, faults: [abort(418)], responseHeaders: adds('x-route', 'changed') });
    const reply = await service(aCall());
    expect([reply.status, reply.headers['x-route']]).toEqual([418, 'changed']);
  });

  test('is let go of when the mesh closes while it is held up', async () => {
    const action = { kind: 'direct', status: 200, body: Buffer.from('direct') } as const;
    const delay = aFault({ delay: { kind: 'fixed', ms: 60_000, share: 1 } });
    const { service, registry, clock, events } = routed({ action, faults: [delay] });
    const replying = service(aCall()).catch((error: unknown) => error);
    expect(events).toEqual([{ kind: 'fault', policy: 'chaos', fault: 'delay' }]);
    await registry.close();
    expect(await replying).toMatchObject({ code: 'MESH_CLOSED' });
    expect(clock.pending).toBe(0);
  });
});

test('a route without faults has nothing of them in its stack', () => {
  const { env } = faultEnv();
  expect([faults(undefined, env), faults([], env)]).toEqual([undefined, undefined]);
});
