import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import type { Mesh } from '../../../src/index.js';
import type { ApiType } from '../../../src/xds/bootstrap/bootstrap.js';
import { CONNECT_TIMEOUT_MS } from '../../../src/xds/attempts.js';
import { RESOURCE_TIMEOUT_MS } from '../../../src/xds/client/updates.js';
import { Opened, WAIT } from '../robustness/support.js';
import type { Backend } from '../support/backend.js';
import { openFace } from '../support/faces.js';
import { hurrying, openMesh, Traffic } from './client.js';
import type { Hosts } from './hosts.js';
import { badPlane, blackHole, deadPort, type Listening, type Plane, plane, planeProcess } from './planes.js';

/*
 * Two control planes of ours, of which the first fails in every way (gRFC A71). Each sends its clients to a backend of its own, so that
 * every answer tells whose configuration it was made with. Calls never pause; none that could be served may fail.
 */

const VARIANTS: readonly ApiType[] = ['AGGREGATED_GRPC', 'AGGREGATED_DELTA_GRPC', 'GRPC', 'DELTA_GRPC'];
/** A connection manager that every client must refuse: it has no filters (gRFC A39). */
const GARBAGE = { http_filters: [] };

const opened = new Opened();
let one: Backend;
let two: Backend;
beforeEach(async () => {
  [one, two] = [await opened.backend('first'), await opened.backend('second')];
});
afterEach(() => opened.close());

const hostsAt = (backend: Backend, ...more: readonly string[]): Hosts => ({
  web: backend.httpPort,
  rpc: backend.grpcPort,
  ...Object.fromEntries(more.map((name) => [name, backend.httpPort])),
});
const open = async <T extends Listening>(starting: Promise<T>): Promise<T> =>
  opened.add(await starting, (each) => each.close());
const second = (...more: readonly string[]): Promise<Plane> => open(plane(hostsAt(two, ...more)));

/** What a call to the host comes to: the backend that answers, or the code of the error. */
async function outcome(mesh: Mesh, host: string): Promise<string> {
  const face = await openFace('fetch', mesh, host);
  return face.send().catch((error: unknown) => (error as Error).message);
}
const becomes = (mesh: Mesh, host: string, result: string): Promise<void> =>
  vi.waitFor(async () => expect(await outcome(mesh, host)).toBe(result), WAIT);

describe.each(VARIANTS)('%s', (apiType) => {
  const meshOn = (...servers: readonly Pick<Listening, 'port'>[]): Mesh => openMesh(opened, apiType, servers);
  const hurriedMeshOn = (waitMs: number, ...servers: readonly Pick<Listening, 'port'>[]): Mesh =>
    openMesh(opened, apiType, servers, hurrying(waitMs));

  /** The second serves while the first is of no use; when the first is, it is gone over to, and the second is left. */
  async function fallsBackAndReturns(first: Listening, meshWith = meshOn): Promise<void> {
    const fallback = await second();
    const traffic = await Traffic.start(opened, meshWith(first, fallback));
    await traffic.answeredBy('second');
    await first.close();
    await traffic.staysAt('second');
    await open(plane(hostsAt(one), first.port));
    await traffic.answeredBy('first');
    await traffic.staysAt('first');
    // "Once such a resource is received, the XdsClient will close connections to the lower-priority server(s)" - A71
    await vi.waitFor(() => expect(fallback.clients).toBe(0), WAIT);
    expect(traffic.failures).toEqual([]);
  }

  test('the first is dead from the start', async () => {
    const port = await deadPort();
    await fallsBackAndReturns({ port, close() {} });
  });

  test.each([
    ['UNAVAILABLE', 14],
    ['PERMISSION_DENIED', 7],
  ])('the first ends each stream with %s', async (_, code) => {
    await fallsBackAndReturns(await open(badPlane({ kind: 'status', code })));
  });

  test('the first is killed, and a host is called that nobody had called before: the second serves it until the first is back', async () => {
    const first = await open(planeProcess(hostsAt(one, 'late')));
    const fallback = await second('late');
    const mesh = meshOn(first, fallback);
    const traffic = await Traffic.start(opened, mesh);
    await traffic.answeredBy('first');
    await first.close();
    expect(await outcome(mesh, 'late')).toBe('second');
    await open(planeProcess(hostsAt(one, 'late'), first.port));
    await becomes(mesh, 'late', 'first');
    await traffic.answeredBy('first');
    await vi.waitFor(() => expect(fallback.clients).toBe(0), WAIT);
    await traffic.staysAt('first');
    expect(traffic.failures).toEqual([]);
  });

  // Whether each type has a stream of its own matters to connections and streams, which is all above; what follows is about resources.
  if (!apiType.startsWith('AGGREGATED')) return;

  test('the first takes connections and says nothing', async () => {
    await fallsBackAndReturns(await open(blackHole()), (...servers) => hurriedMeshOn(CONNECT_TIMEOUT_MS, ...servers));
  });

  test('the first sends what is no response', async () => {
    await fallsBackAndReturns(await open(badPlane({ kind: 'noise' })));
  });

  test('both are dead, and come up one after the other, the second before the first', async () => {
    const [firstPort, secondPort] = [await deadPort(), await deadPort()];
    const mesh = meshOn({ port: firstPort }, { port: secondPort });
    expect(await outcome(mesh, 'web')).toBe('CONFIG_UNAVAILABLE');
    await open(plane(hostsAt(two), secondPort));
    await becomes(mesh, 'web', 'second');
    await open(plane(hostsAt(one), firstPort));
    await becomes(mesh, 'web', 'first');
  });

  test('the first is killed under load and comes back with other configuration: the second is not asked, since everything is cached', async () => {
    const first = await open(planeProcess(hostsAt(one)));
    const fallback = await second();
    const traffic = await Traffic.start(opened, meshOn(first, fallback));
    await traffic.answeredBy('first');
    await first.close();
    await traffic.staysAt('first');
    // Long enough for an attempt or two at the first.
    const watch = await open(badPlane({ kind: 'status', code: 14 }, first.port));
    await vi.waitFor(() => expect(watch.streams).toBeGreaterThan(1), WAIT);
    await watch.close();
    expect(fallback.clients).toBe(0);
    const three = await opened.backend('third');
    await open(planeProcess(hostsAt(three), first.port));
    await traffic.answeredBy('third');
    await traffic.staysAt('third');
    expect(fallback.clients).toBe(0);
    expect(traffic.failures).toEqual([]);
  });

  // "switch to fallback configuration only for channels that need xDS resources that have not been downloaded yet" - A71
  test('a host that is new when the first is gone is served by the second, and the others stay with what the first said', async () => {
    const first = await open(plane(hostsAt(one, 'late')));
    const fallback = await second('late');
    const mesh = meshOn(first, fallback);
    const traffic = await Traffic.start(opened, mesh);
    await traffic.answeredBy('first');
    await first.close();
    expect(await outcome(mesh, 'late')).toBe('second');
    await traffic.staysAt('first');
    expect(await outcome(mesh, 'late')).toBe('second');
    expect(fallback.clients).toBe(1);
    const scopes = mesh.resources().map(({ scope }) => scope);
    expect(scopes.sort()).toEqual(['xds:///late', 'xds:///rpc', 'xds:///web']);
    await open(plane(hostsAt(one, 'late'), first.port));
    await becomes(mesh, 'late', 'first');
    await vi.waitFor(() => expect(fallback.clients).toBe(0), WAIT);
    expect(traffic.failures).toEqual([]);
  });

  test('the second goes as well: what is cached serves on, from whichever it came', async () => {
    const fallback = await second();
    const traffic = await Traffic.start(opened, meshOn({ port: await deadPort() }, fallback));
    await traffic.answeredBy('second');
    await fallback.close();
    await traffic.staysAt('second');
    expect(traffic.failures).toEqual([]);
  });

  test('back and forth: killed and revived three times, each time with a host that is new', async () => {
    const names = ['late-0', 'late-1', 'late-2'];
    let first = await open(plane(hostsAt(one, ...names)));
    const fallback = await second(...names);
    const mesh = meshOn(first, fallback);
    const traffic = await Traffic.start(opened, mesh);
    await traffic.answeredBy('first');
    for (const name of names) {
      await first.close();
      expect(await outcome(mesh, name)).toBe('second');
      first = await open(plane(hostsAt(one, ...names), first.port));
      await becomes(mesh, name, 'first');
      await traffic.answeredBy('first');
      await vi.waitFor(() => expect(fallback.clients).toBe(0), WAIT);
    }
    expect(traffic.failures).toEqual([]);
  }, 60_000);

  test('the first comes back and says nothing, then errors, then what cannot be used: what is cached serves on', async () => {
    const first = await open(plane(hostsAt(one)));
    const fallback = await second();
    const traffic = await Traffic.start(opened, meshOn(first, fallback));
    await traffic.answeredBy('first');
    await first.close();
    const { port } = first;
    for (const behaviour of [{ kind: 'silent' }, { kind: 'status', code: 7 }, { kind: 'noise' }] as const) {
      const bad = await open(badPlane(behaviour, port));
      await vi.waitFor(() => expect(bad.streams).toBeGreaterThan(0), WAIT);
      await traffic.staysAt('first');
      await bad.close();
    }
    const garbage = await open(plane(hostsAt(two), port, GARBAGE));
    await vi.waitFor(() => expect(garbage.clients).toBe(1), WAIT);
    expect(fallback.clients).toBe(0);
    expect(traffic.failures).toEqual([]);
  }, 60_000);

  test('the first serves what is refused: no connectivity failure, so that its clients stay with it until it is mended', async () => {
    const first = await open(plane(hostsAt(one), 0, GARBAGE));
    const fallback = await second();
    const mesh = meshOn(first, fallback);
    expect(await outcome(mesh, 'web')).toBe('CONFIG_UNAVAILABLE');
    expect(fallback.clients).toBe(0);
    first.serve(hostsAt(one));
    await becomes(mesh, 'web', 'first');
    expect(fallback.clients).toBe(0);
  });

  test('the first serves what is refused, and dies of it: nothing is cached, so that the second serves', async () => {
    const first = await open(plane(hostsAt(one), 0, GARBAGE));
    const fallback = await second();
    const mesh = meshOn(first, fallback);
    expect(await outcome(mesh, 'web')).toBe('CONFIG_UNAVAILABLE');
    await first.close();
    await becomes(mesh, 'web', 'second');
    await open(plane(hostsAt(one), first.port));
    await becomes(mesh, 'web', 'first');
  });

  test('the first does not know the host: that is an answer, which counts as cached even when it dies', async () => {
    const first = await open(plane({ other: one.httpPort }));
    const fallback = await second();
    const mesh = meshOn(first, fallback);
    expect(await outcome(mesh, 'web')).toBe('UNKNOWN_HOST');
    await first.close();
    const watch = await open(badPlane({ kind: 'status', code: 14 }, first.port));
    await vi.waitFor(() => expect(watch.streams).toBeGreaterThan(1), WAIT);
    await watch.close();
    // "Resources that are considered non-existent" are cached resources - A71
    expect(await outcome(mesh, 'web')).toBe('UNKNOWN_HOST');
    expect(fallback.clients).toBe(0);
    await open(plane(hostsAt(one), first.port));
    await becomes(mesh, 'web', 'first');
  });

  test('the first never answers: no connectivity failure, so that what it does not send does not exist', async () => {
    const first = await open(badPlane({ kind: 'silent' }));
    const fallback = await second();
    const mesh = hurriedMeshOn(RESOURCE_TIMEOUT_MS, first, fallback);
    expect(await outcome(mesh, 'web')).toBe('UNKNOWN_HOST');
    expect(fallback.clients).toBe(0);
    await first.close();
    await open(plane(hostsAt(one), first.port));
    await becomes(mesh, 'web', 'first');
  });
});
