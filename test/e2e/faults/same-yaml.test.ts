import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { requestPolicyYaml, serviceYaml } from '../../support/mesh-yaml.js';
import { Backend } from '../support/backend.js';
import { CARRIERS, openCarrier } from '../support/carriers.js';
import { FACES, isGrpc } from '../support/echo.js';
import { openAsker } from './asking.js';

/* One FaultPolicy does the same to every face, embedded and from our own control plane over a real socket. */

const combinations = CARRIERS.flatMap((carrier) => FACES.map((face) => ({ carrier, face })));
const opened: (() => Promise<unknown> | unknown)[] = [];
afterEach(async () => {
  for (const close of opened.splice(0).reverse()) await close();
});

describe.each(combinations)('a FaultPolicy, $face, $carrier', ({ carrier: carrierName, face }) => {
  const rpc = isGrpc(face);
  const policy = (spec: string): string =>
    requestPolicyYaml('FaultPolicy', 'chaos', 'kind: Service, name: reviews', spec);
  const open = async (spec: string) => {
    const reviews = await Backend.start('reviews');
    opened.push(() => reviews.kill());
    const service = serviceYaml('reviews', `endpoints: ["127.0.0.1:${rpc ? reviews.grpcPort : reviews.httpPort}"]`);
    const carrier = await openCarrier(carrierName, service + policy(spec));
    opened.push(() => carrier.close());
    const asker = await openAsker(face, carrier.mesh);
    opened.push(() => asker.close());
    const edit = (changed: string, more = ''): Promise<void> =>
      carrier.edit(service + (changed === '' ? '' : policy(changed)) + more);
    return { ask: asker.ask, mesh: carrier.mesh, reviews, edit };
  };
  const good = { status: rpc ? 'OK' : 200, id: 'reviews' };

  test('aborts with an HTTP status, or what it means to gRPC', async () => {
    const { ask, reviews } = await open('abort: { httpStatus: 429 }');
    expect(await ask()).toEqual({ status: rpc ? 'UNAVAILABLE' : 429, flag: 'FI' });
    expect(reviews.seen.length).toBe(0);
  });

  test('aborts with a gRPC status, or what it means to HTTP', async () => {
    const { ask, reviews } = await open('abort: { grpcStatus: NOT_FOUND }');
    expect(await ask()).toEqual({ status: rpc ? 'NOT_FOUND' : 404, flag: 'FI' });
    expect(reviews.seen.length).toBe(0);
  });

  test('cuts the connection', async () => {
    const { ask, reviews, mesh } = await open('reset: {}');
    const expected = {
      fetch: { error: 'FAULT_INJECTED' },
      gRPC: { status: 'UNAVAILABLE', flag: undefined },
      'proxy, HTTP': { error: expect.stringMatching(/^(ECONNRESET|UND_ERR_SOCKET)$/) as unknown as string },
      'proxy, gRPC': { status: 'INTERNAL', flag: undefined },
    };
    expect(await ask()).toEqual(expected[face]);
    expect(reviews.seen.length).toBe(0);
    // What is asked for twice more is cut twice more: none of it is tried again.
    await ask();
    await ask();
    expect(mesh.prometheus()).toMatch(/mesh_faults_total\{[^}]*mesh_fault="reset"[^}]*\} 3\n/);
  });

  test('holds requests up until their deadline is over, and sends none of them', async () => {
    const { ask, reviews } = await open('delay: { fixedDelay: 1h }');
    const { status, error } = await ask({}, 60);
    expect(status ?? error).toBe(face === 'proxy, HTTP' ? 504 : 'DEADLINE_EXCEEDED');
    expect(reviews.seen.length).toBe(0);
  });

  test('holds requests up for a while, and then sends them', async () => {
    const { ask, mesh } = await open('delay: { uniform: { min: 1ms, max: 5ms } }');
    const flags: unknown[] = [];
    const listen = (message: unknown) =>
      flags.push((message as { call: { record: { flags: unknown } } }).call.record.flags);
    subscribe('mesh:call:end', listen);
    opened.push(() => unsubscribe('mesh:call:end', listen));
    expect(await ask()).toEqual(good);
    await vi.waitFor(() => expect(flags).toEqual([['DI']]));
    expect(mesh.prometheus()).toContain('mesh_fault="delay"');
  });

  test('does what headers ask for, as far as it is configured', async () => {
    const { ask } = await open('abort: { headerAbort: {}, percentage: 100 }');
    expect(await ask()).toEqual(good);
    expect(await ask({ 'x-envoy-fault-abort-request': '418' })).toEqual({ status: rpc ? 'UNKNOWN' : 418, flag: 'FI' });
    expect(await ask({ 'x-envoy-fault-abort-grpc-request': '8' })).toEqual({
      status: rpc ? 'RESOURCE_EXHAUSTED' : 429,
      flag: 'FI',
    });
    const never = { 'x-envoy-fault-abort-request': '418', 'x-envoy-fault-abort-request-percentage': '0' };
    expect(await ask(never)).toEqual(good);
  });

  test('headers raise nothing above what is configured', async () => {
    const { ask } = await open('abort: { headerAbort: {}, percentage: 0 }');
    const asked = { 'x-envoy-fault-abort-request': '418', 'x-envoy-fault-abort-request-percentage': '100' };
    for (let i = 0; i < 20; i++) expect(await ask(asked)).toEqual(good);
  });

  test('is about requests that match', async () => {
    const { ask } = await open('abort: { httpStatus: 500 }, headers: [{ name: x-user, value: tester }]');
    expect(await ask({ 'x-user': 'tester' })).toEqual({ status: rpc ? 'UNKNOWN' : 500, flag: 'FI' });
    expect(await ask({ 'x-user': 'somebody' })).toEqual(good);
  });

  test('befalls as many of 400 requests as configured, within six standard deviations', async () => {
    const { ask } = await open('abort: { httpStatus: 503, percentage: 30 }');
    const all = await Promise.all(Array.from({ length: 400 }, () => ask()));
    const aborted = all.filter(({ flag }) => flag === 'FI').length;
    expect(Math.abs(aborted - 120)).toBeLessThanOrEqual(6 * Math.sqrt(400 * 0.3 * 0.7));
    expect(all.filter(({ id }) => id === 'reviews').length).toBe(400 - aborted);
  });

  test('ends when it is taken back', async () => {
    const { ask, edit } = await open('abort: { httpStatus: 503 }');
    expect((await ask()).flag).toBe('FI');
    await edit('');
    await vi.waitFor(async () => expect(await ask()).toEqual(good), { timeout: 10_000, interval: 20 });
  });

  test('an experiment stops itself when its guard is crossed, and stays stopped when the file is saved again', async () => {
    const guards = '[{ successRate: { minimum: 95, minimumRequests: 10 } }]';
    const experiment = `experiment: { run: "${face} ${carrierName}", duration: 1h, guards: ${guards} }`;
    const { ask, mesh, edit } = await open(`abort: { httpStatus: 503, percentage: 90 }, ${experiment}`);
    const seen = [];
    for (let i = 0; i < 40; i++) seen.push((await ask()).flag === 'FI');
    expect(seen.slice(0, 10)).toContain(true);
    expect(seen.slice(12)).toEqual(Array(28).fill(false));
    expect(mesh.prometheus()).toMatch(/mesh_experiments_stopped_total\{[^}]*"success-rate"[^}]*\} 1\n/);
    const marker = requestPolicyYaml(
      'FaultPolicy',
      'marker',
      'kind: Service, name: reviews',
      'abort: { grpcStatus: NOT_FOUND }, headers: [{ name: x-marker, value: "1" }]',
    );
    await edit(`abort: { httpStatus: 503 }, ${experiment}`, marker);
    const read = async () => expect((await ask({ 'x-marker': '1' })).status).toBe(rpc ? 'NOT_FOUND' : 404);
    await vi.waitFor(read, { timeout: 10_000, interval: 20 });
    for (let i = 0; i < 20; i++) expect(await ask()).toEqual(good);
  });
});
