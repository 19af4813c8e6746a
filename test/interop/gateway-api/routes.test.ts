import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { CARRIERS } from '../../e2e/support/carriers.js';
import { Backends } from '../envoy/backend.js';
import { arrived, Caller } from '../envoy/client.js';
import { envoyBinary } from '../envoy/envoy.js';
import type { Ask, Case, Expected } from './case.js';
import { CHANGING } from './changing.js';
import { MATCHING } from './matching.js';
import { SENDING } from './sending.js';
import { carried, decidedByEnvoy, type Side } from './sides.js';

/*
 * What the conformance suite of Gateway API expects of HTTPRoute (kubernetes-sigs/gateway-api, conformance/tests), in documents of our own: read from a file in the
 * process, and served by our control plane; on real servers. Each case has a Service whose callers its routes serve. An Envoy that is given what our
 * compiler makes of them must come to the same.
 */

const CASES = [...MATCHING, ...CHANGING, ...SENDING];
const WEIGHTS = { v1: 70, v2: 30, v3: 0 };
const BACKENDS = ['v1', 'v2', 'v3'] as const;

const ENVOY = 'by an Envoy';
const SIDES: readonly (readonly [string, (yaml: string) => Promise<Side>])[] = [
  ...CARRIERS.map((name) => [name, (yaml: string) => carried(name, yaml)] as const),
  ...(envoyBinary === undefined ? [] : [[ENVOY, decidedByEnvoy] as const]),
];

describe.each(SIDES)('Gateway API, %s', (name, start) => {
  let backends: Backends;
  let side: Side;
  let caller: Caller;
  let calls = 0;

  beforeAll(async () => {
    // The first never fails a call; here it takes none.
    backends = await Backends.start(1 + BACKENDS.length);
    side = await start(documents(backends.ports.slice(1)));
    caller = new Caller(name.replaceAll(' ', '-'), (host) => side.port(host));
  });

  afterAll(async () => {
    caller?.close();
    await side?.close();
    await backends?.close();
  });

  const send = async (host: string, request: string, headers: Readonly<Record<string, string>> = {}) => {
    const [first, path = first as string] = request.split(' ') as [string, string?];
    const method = path === first ? 'GET' : first;
    const call = calls++;
    const reply = await caller.call({ table: host, method, path, host, headers: Object.entries(headers) }, call);
    const arrivals = () =>
      arrived(backends, caller.id(call)).map((it) => ({
        backend: BACKENDS[backends.ports.indexOf(it.port) - 1] as string,
        path: it.path,
        fields: Object.fromEntries(it.headers.map((field) => field.split(/: (.*)/s, 2) as [string, string])),
      }));
    return { reply, arrivals };
  };

  test.each(CASES.map((it, i) => [it.about, it, i] as const))('%s', async (_, { asks }, i) => {
    for (const ask of asks) await check(ask, `case-${i}`);
  });

  async function check([request, given, headers]: Ask, host: string): Promise<void> {
    const expected = expectedOf(given);
    const { reply, arrivals } = await send(host, request, headers);
    const about = `${request} ${JSON.stringify(headers ?? {})}`;
    const fields = Object.fromEntries(reply.headers.map((field) => field.split(/: (.*)/s, 2) as [string, string]));
    const { location } = fields;
    // A port without a scheme: ours leaves 80 out of what turns out to be http, as it should; an Envoy writes it. The URIs are equivalent.
    if (name === ENVOY && location !== undefined) fields['location'] = location.replace(/^(http:[^:]+):80\//, '$1/');
    expect({ about, status: reply.status }).toEqual({ about, status: expected.status ?? 200 });
    const wanted = Object.entries(expected.reply ?? {}).map(
      ([name, value]) => [name, value.replace('HOST', host)] as const,
    );
    expect({ about, ...fields }).toMatchObject({ about, ...Object.fromEntries(wanted) });
    for (const name of expected.replyAbsent ?? []) expect(fields, about).not.toHaveProperty(name);
    const { mirrored = [], backend, attempts = backend === undefined ? 0 : 1 } = expected;
    // Copies come when they come.
    await vi.waitFor(() => expect(arrivals().length, about).toBe(attempts + mirrored.length));
    const names = arrivals().map((arrival) => arrival.backend);
    expect({ about, names: names.sort() }).toEqual({
      about,
      names: [...Array.from({ length: attempts }, () => backend), ...mirrored].sort(),
    });
    for (const arrival of arrivals()) {
      if (expected.path !== undefined) expect({ about, path: arrival.path }).toEqual({ about, path: expected.path });
      if (expected.host !== undefined) expect(arrival.fields['host'], about).toBe(expected.host);
      expect({ about, ...arrival.fields }).toMatchObject({ about, ...expected.sees });
      for (const name of expected.absent ?? []) expect(arrival.fields, about).not.toHaveProperty(name);
    }
  }

  test('backends share the requests by weight, one of weight 0 gets none', async () => {
    const counts = new Map<string, number>();
    const results = await Promise.all(Array.from({ length: 300 }, () => send('weighted', '/')));
    for (const { arrivals } of results) {
      for (const { backend } of arrivals()) counts.set(backend, (counts.get(backend) ?? 0) + 1);
    }
    expect(counts.get('v3')).toBeUndefined();
    // Binomial(300, 0.7): five standard deviations are 40.
    expect(Math.abs((counts.get('v1') ?? 0) - 210)).toBeLessThan(40);
    expect((counts.get('v1') ?? 0) + (counts.get('v2') ?? 0)).toBe(300);
  });
});

const expectedOf = (given: Ask[1]): Expected => {
  if (typeof given === 'string') return { backend: given };
  return typeof given === 'number' ? { status: given } : given;
};

/** Services, and routes on them; JSON is YAML. */
function documents(ports: readonly number[]): string {
  const service = (name: string, port: number): object => ({
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name },
    spec: { endpoints: [`127.0.0.1:${port}`] },
  });
  const route = (name: string, parent: string, rules: readonly object[]): object => ({
    apiVersion: 'gateway.networking.k8s.io/v1',
    kind: 'HTTPRoute',
    metadata: { name },
    spec: { parentRefs: [{ group: '', kind: 'Service', name: parent }], rules },
  });
  const [port] = ports as [number];
  const weighted = Object.entries(WEIGHTS).map(([name, weight]) => ({ name, port: 80, weight }));
  const all = [
    ...BACKENDS.map((name, i) => service(name, ports[i] as number)),
    ...CASES.flatMap(({ routes }: Case, i) => [
      service(`case-${i}`, port),
      ...routes.map((rules, part) => route(`case-${i}-${part}`, `case-${i}`, rules)),
    ]),
    service('weighted', port),
    route('weighted', 'weighted', [{ backendRefs: weighted }]),
  ];
  return all.map((document) => `---\n${JSON.stringify(document)}\n`).join('');
}
