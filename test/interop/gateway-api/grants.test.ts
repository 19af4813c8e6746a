import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { CARRIERS } from '../../e2e/support/carriers.js';
import { Backends } from '../envoy/backend.js';
import { arrived, Caller } from '../envoy/client.js';
import { envoyBinary } from '../envoy/envoy.js';
import { filters, prefix } from './case.js';
import { carried, decidedByEnvoy, type Side } from './sides.js';

/*
 * What the conformance suite of Gateway API expects of ReferenceGrant (conformance/tests: httproute-reference-grant, -invalid-reference-grant,
 * -invalid-cross-namespace-backend-ref, -partially-invalid-via-invalid-reference-grant), in documents of our own; and the same of mirrors.
 */

const CALLS = 200;
const GATEWAY = 'gateway.networking.k8s.io';
const document = (kind: string, name: string, namespace: string, spec: object): object => ({
  apiVersion: kind === 'Service' ? 'v1' : `${GATEWAY}/v1`,
  kind,
  metadata: { name, namespace },
  spec,
});
const service = (name: string, namespace: string, port: number): object =>
  document('Service', name, namespace, { endpoints: [`127.0.0.1:${port}`] });
const route = (kind: string, name: string, rules: readonly object[]): object =>
  document(kind, name, 'infra', { parentRefs: [{ group: '', kind: 'Service', name }], rules });
const backend = (namespace: string, name = 'backend', weight = 1): object => ({ name, namespace, port: 80, weight });
const to = (...backendRefs: readonly object[]): object => ({ backendRefs });

const FROM = { group: GATEWAY, kind: 'HTTPRoute', namespace: 'infra' };
const TO = { group: '', kind: 'Service', name: 'backend' };
const grant = (name: string, namespace: string, from: object = {}, target: object = {}): object =>
  document('ReferenceGrant', name, namespace, { from: [{ ...FROM, ...from }], to: [{ ...TO, ...target }] });

/** Each wrong in one part. */
const WRONG = [
  grant('wrong-namespace', 'infra'),
  grant('wrong-from-group', 'wrong', { group: 'not-the-group-youre-looking-for' }),
  grant('wrong-from-kind', 'wrong', { kind: 'Gateway' }),
  grant('wrong-from-namespace', 'wrong', { namespace: 'not-the-namespace-youre-looking-for' }),
  grant('wrong-to-group', 'wrong', {}, { group: 'not-the-group-youre-looking-for' }),
  grant('wrong-to-kind', 'wrong', {}, { kind: 'Secret' }),
  grant('wrong-to-name', 'wrong', {}, { name: 'not-the-service-youre-looking-for' }),
];
const REVOCABLE = grant('revocable', 'granting');
const yaml = (documents: readonly object[]): string => documents.map((it) => `---\n${JSON.stringify(it)}\n`).join('');

function documents(port: number): object[] {
  const mirror = { type: 'RequestMirror', requestMirror: { backendRef: { name: 'backend', namespace: 'mirrored' } } };
  return [
    ...['none', 'wrong', 'partly', 'partly-2', 'granting', 'shared', 'copied'].map((name) =>
      service(name, 'infra', port),
    ),
    ...['closed', 'wrong', 'granting', 'mirrored'].map((namespace) => service('backend', namespace, port)),
    ...['v1', 'v2'].map((name) => service(name, 'apps', port)),
    route('HTTPRoute', 'none', [to(backend('closed'))]),
    route('HTTPRoute', 'wrong', [to(backend('wrong'))]),
    ...WRONG,
    route('HTTPRoute', 'partly', [
      { matches: [prefix('/v2')], ...to(backend('apps', 'v2')) },
      to(backend('apps', 'v1')),
    ]),
    grant('v1', 'apps', {}, { name: 'v1' }),
    route('HTTPRoute', 'granting', [to(backend('granting'))]),
    route('HTTPRoute', 'shared', [to(backend('closed', 'backend', 3), backend('apps', 'v1', 7))]),
    route('HTTPRoute', 'copied', [{ ...to(backend('apps', 'v1')), ...filters(mirror) }]),
  ];
}

const SIDES: readonly (readonly [
  string,
  (yaml: string) => Promise<Side & { readonly edit?: (yaml: string) => Promise<void> }>,
])[] = [
  ...CARRIERS.map((name) => [name, (text: string) => carried(name, text)] as const),
  ...(envoyBinary === undefined ? [] : [['by an Envoy', decidedByEnvoy] as const]),
];

describe.each(SIDES)('Gateway API, ReferenceGrant, %s', (name, start) => {
  let backends: Backends;
  let side: Awaited<ReturnType<(typeof SIDES)[number][1]>>;
  let caller: Caller;
  let calls = 0;

  beforeAll(async () => {
    backends = await Backends.start(1);
    side = await start(yaml([...documents(backends.ports[0] as number), REVOCABLE]));
    caller = new Caller(`grants-${name.replaceAll(' ', '-')}`, (host) => side.port(`${host}.infra`));
  });

  afterAll(async () => {
    caller?.close();
    await side?.close();
    await backends?.close();
  });

  const send = async (host: string, path = '/') => {
    const call = calls++;
    const { status } = await caller.call({ table: host, method: 'GET', path, host, headers: [] }, call);
    return { status, arrivals: () => arrived(backends, caller.id(call)).length };
  };
  const statusOf = async (host: string, path?: string): Promise<number> => (await send(host, path)).status;

  test('without a grant of its namespace a backend is not called: 500', async () => {
    const { status, arrivals } = await send('none');
    expect([status, arrivals()]).toEqual([500, 0]);
  });

  test('grants that are each wrong in one part permit nothing: 500', async () => {
    const { status, arrivals } = await send('wrong');
    expect([status, arrivals()]).toEqual([500, 0]);
  });

  test('a grant for one Service permits no other: its rules serve, those of the other have 500', async () => {
    expect(await statusOf('partly', '/v2')).toBe(500);
    expect(await statusOf('partly')).toBe(200);
  });

  test('of several backends, the share of one that is not permitted has 500', async () => {
    const statuses = await Promise.all(Array.from({ length: CALLS }, () => statusOf('shared')));
    const failed = statuses.filter((status) => status === 500).length;
    expect(statuses.filter((status) => status === 200)).toHaveLength(CALLS - failed);
    // Five standard deviations of a binomial distribution.
    expect(Math.abs(failed - CALLS * 0.3)).toBeLessThan(5 * Math.sqrt(CALLS * 0.3 * 0.7));
  });

  test('a mirror that is not permitted gets no copy, until it is', async () => {
    const before = await send('copied');
    expect([before.status, before.arrivals()]).toEqual([200, 1]);
    if (side.edit === undefined) return;
    await side.edit(yaml([...documents(backends.ports[0] as number), REVOCABLE, grant('mirror', 'mirrored')]));
    // A copy comes when it comes.
    await vi.waitFor(
      async () => {
        const { arrivals } = await send('copied');
        await vi.waitFor(() => expect(arrivals()).toBe(2), { timeout: 200 });
      },
      { timeout: 10_000 },
    );
  });

  test('a grant permits a backend of its namespace, until it is taken back', async () => {
    expect(await statusOf('granting')).toBe(200);
    if (side.edit === undefined) return;
    await side.edit(yaml(documents(backends.ports[0] as number)));
    await vi.waitFor(async () => expect(await statusOf('granting')).toBe(500), { timeout: 10_000 });
    await side.edit(yaml([...documents(backends.ports[0] as number), REVOCABLE]));
    await vi.waitFor(async () => expect(await statusOf('granting')).toBe(200), { timeout: 10_000 });
  });
});
