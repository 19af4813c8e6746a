import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { CARRIERS } from '../../e2e/support/carriers.js';
import { Backends } from '../envoy/backend.js';
import { arrived, Caller } from '../envoy/client.js';
import { changeReply, changeRequest, filters, mirror, prefix, rule } from './case.js';
import { carried, type Side } from './sides.js';

/*
 * What the conformance suite of Gateway API expects of a mesh beside its routes (conformance/tests/mesh: basic, ports, split, frontend, weight) and of
 * Services behind them (service-types, request-header-modifier-backend-weights, request-percentage-mirror), in documents of our own.
 */

const CALLS = 200;
const service = (name: string, spec: object): object => ({
  apiVersion: 'v1',
  kind: 'Service',
  metadata: { name },
  spec,
});
const route = (name: string, parent: object, rules: readonly object[]): object => ({
  apiVersion: 'gateway.networking.k8s.io/v1',
  kind: 'HTTPRoute',
  metadata: { name },
  spec: { parentRefs: [{ group: '', kind: 'Service', ...parent }], rules },
});
const slice = (name: string, of: string, port: number): object => ({
  apiVersion: 'discovery.k8s.io/v1',
  kind: 'EndpointSlice',
  metadata: { name, labels: { 'kubernetes.io/service-name': of } },
  addressType: 'IPv4',
  ports: [{ name: 'first-port', port, protocol: 'TCP' }],
  endpoints: [
    { addresses: ['127.0.0.1'], conditions: { ready: true, serving: true, terminating: false }, nodeName: 'node' },
  ],
});
const marks = (value: string): object => filters(changeReply({ set: [{ name: 'X-Header-Set', value }] }));
const marked = (name: string, weight: number): object => ({
  name,
  port: 80,
  weight,
  ...filters(changeRequest({ set: [{ name: 'Backend', value: name }] })),
});

describe.each(CARRIERS)('Gateway API in a mesh, %s', (name) => {
  let backends: Backends;
  let side: Side;
  let caller: Caller;
  let calls = 0;
  let [v1, v2] = [0, 0];

  beforeAll(async () => {
    backends = await Backends.start(3);
    [, v1, v2] = backends.ports as [number, number, number];
    const ports = [
      { name: 'http', port: 80 },
      { name: 'other', port: 8080 },
    ];
    const manual = { ports: [{ name: 'first-port', protocol: 'TCP', port: 80, targetPort: 3_000 }] };
    const documents = [
      service('echo', { ports, endpoints: [`127.0.0.1:${v1}`] }),
      service('echo-v1', { ports, endpoints: [`127.0.0.1:${v1}`] }),
      service('echo-v2', { ports, endpoints: [`127.0.0.1:${v2}`] }),
      service('plain', { endpoints: [`127.0.0.1:${v1}`] }),
      route('ports-v1', { name: 'echo-v1', port: 80 }, [rule('echo-v1', undefined, marks('v1'))]),
      route('ports-v2', { name: 'echo-v2' }, [rule('echo-v2', undefined, marks('v2'))]),
      route('split', { name: 'echo', port: 80 }, [
        rule('echo-v1', [{ path: { type: 'Exact', value: '/v1' } }]),
        rule('echo-v2', [{ path: { type: 'Exact', value: '/v2' } }]),
        { matches: [prefix('/weights')], backendRefs: [marked('echo-v1', 70), marked('echo-v2', 30)] },
        rule('echo-v1', [prefix('/fifth')], filters(mirror('plain', { percent: 20 }))),
        rule('echo-v1', [prefix('/half')], filters(mirror('plain', { fraction: { numerator: 25, denominator: 50 } }))),
        { matches: [prefix('/manual')], backendRefs: [{ name: 'manual', port: 80 }] },
        { matches: [prefix('/headless')], backendRefs: [{ name: 'headless', port: 80 }] },
      ]),
      service('manual', manual),
      service('headless', { ...manual, clusterIP: 'None' }),
      slice('manual-ip4', 'manual', v2),
      slice('headless-ip4', 'headless', v2),
    ];
    side = await carried(name, documents.map((document) => `---\n${JSON.stringify(document)}\n`).join(''));
    caller = new Caller(`mesh-${name.replaceAll(' ', '-')}`, (host) => side.port(host));
  });

  afterAll(async () => {
    caller?.close();
    await side?.close();
    await backends?.close();
  });

  const send = async (host: string, path = '/') => {
    const call = calls++;
    const reply = await caller.call({ table: host, method: 'GET', path, host, headers: [] }, call);
    const arrivals = () => arrived(backends, caller.id(call));
    const mark = reply.headers.find((field) => field.startsWith('x-header-set: '))?.slice(14);
    return { status: reply.status, port: arrivals()[0]?.port, mark, arrivals };
  };
  const sendMany = (host: string, path: string) => Promise.all(Array.from({ length: CALLS }, () => send(host, path)));
  /** Five standard deviations of a binomial distribution. */
  const expectShare = (count: number, of: number, share: number): void =>
    expect(Math.abs(count - of * share)).toBeLessThan(5 * Math.sqrt(of * share * (1 - share)));

  test('a Service without routes is called as it is', async () => {
    expect(await send('plain')).toMatchObject({ status: 200, port: v1, mark: undefined });
  });

  test('a route is for the port that it names, or for all', async () => {
    expect(await send('echo-v1')).toMatchObject({ status: 200, port: v1, mark: 'v1' });
    expect(await send('echo-v1:8080')).toMatchObject({ status: 200, port: v1, mark: undefined });
    expect(await send('echo-v2')).toMatchObject({ status: 200, port: v2, mark: 'v2' });
    expect(await send('echo-v2:8080')).toMatchObject({ status: 200, port: v2, mark: 'v2' });
  });

  test('a Service is split between two', async () => {
    expect(await send('echo', '/v1')).toMatchObject({ status: 200, port: v1 });
    expect(await send('echo', '/v2')).toMatchObject({ status: 200, port: v2 });
  });

  test('rules are of the Service that is called, not of those behind it, nor of their addresses', async () => {
    expect(await send('echo-v2')).toMatchObject({ mark: 'v2' });
    expect(await send('echo', '/v2')).toMatchObject({ port: v2, mark: undefined });
    expect(await send(`127.0.0.1:${v2}`)).toMatchObject({ status: 200, port: v2, mark: undefined });
  });

  test('backends share by weight, each with its own headers', async () => {
    const sent = await sendMany('echo', '/weights');
    expectShare(sent.filter(({ port }) => port === v1).length, CALLS, 0.7);
    for (const { port, arrivals } of sent) {
      expect(arrivals()[0]?.headers).toContain(`backend: ${port === v1 ? 'echo-v1' : 'echo-v2'}`);
    }
  });

  test.each([
    ['/fifth', 0.2],
    ['/half', 0.5],
  ] as const)('a share of the requests is mirrored: %s', async (path, share) => {
    const sent = await sendMany('echo', path);
    expect(sent.every(({ status }) => status === 200)).toBe(true);
    const copies = (): number => sent.filter(({ arrivals }) => arrivals().length > 1).length;
    await vi.waitFor(() => expectShare(copies(), CALLS, share));
  });

  test.each(['/manual', '/headless'])(
    'endpoints are those of the slices, whatever the kind of Service: %s',
    async (path) => {
      expect(await send('echo', path)).toMatchObject({ status: 200, port: v2 });
    },
  );
});
