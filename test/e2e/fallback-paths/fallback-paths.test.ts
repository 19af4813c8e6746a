import { afterEach, describe, expect, test, vi } from 'vitest';
import type { FallbackFunction } from '../../../src/index.js';
import type { Backend } from '../support/backend.js';
import { CARRIERS, openCarrier } from '../support/carriers.js';
import { Opened } from '../robustness/support.js';
import { FACES, isGrpc } from '../support/echo.js';
import { openAsker, type Seen } from './asking.js';

/*
 * Every endpoint of a service is gone, and each kind of fallback answers: by every face, with configuration from a file and over ADS.
 */

const combinations = CARRIERS.flatMap((carrier) => FACES.map((face) => ({ carrier, face })));
/** A port on which nobody listens. */
const GONE = '127.0.0.1:1';
const STATIC = '{ static: { json: { id: static } } }';

describe.each(combinations)('$face, $carrier', ({ carrier: carrierName, face: faceName }) => {
  const opened = new Opened();
  afterEach(() => opened.close());

  const at = (b: Backend): string => `127.0.0.1:${isGrpc(faceName) ? b.grpcPort : b.httpPort}`;
  const service = (name: string, endpoint: string): string => `---
apiVersion: v1
kind: Service
metadata: { name: ${name} }
spec: { endpoints: ["${endpoint}"] }
`;
  const policy = (spec: string): string => `---
apiVersion: inmesh.dev/v1alpha1
kind: TrafficPolicy
metadata: { name: reviews }
spec: { targetRefs: [{ kind: Service, group: "", name: reviews }], ${spec} }
`;
  const open = async (yaml: string, fallbacks: Record<string, FallbackFunction> = {}, log: string[] = []) => {
    const carrier = await openCarrier(carrierName, yaml, { fallbacks, accessLog: (line) => void log.push(line) });
    opened.add(carrier, () => carrier.close());
    const asker = await openAsker(faceName, carrier.mesh);
    opened.add(asker, () => asker.close());
    return { ask: asker.ask, mesh: carrier.mesh };
  };

  test('without a fallback it is an error at once', async () => {
    const { ask } = await open(service('reviews', GONE));
    expect(await ask()).toEqual({ error: isGrpc(faceName) ? 'UNAVAILABLE' : 'CONNECT_FAILED' });
  });

  test('another service answers', async () => {
    const ratings = await opened.backend('ratings');
    const { ask } = await open(
      service('reviews', GONE) + service('ratings', at(ratings)) + policy('fallback: [{ service: { name: ratings } }]'),
    );
    // Over ADS the other service is heard of later than the first: the call that needs it waits.
    expect(await ask()).toEqual({ id: 'ratings', fallback: 'service' });
    expect(ratings.seen.length).toBe(1);
  });

  test('a static reply answers when the other service is gone as well, and telemetry knows', async () => {
    const log: string[] = [];
    const { ask, mesh } = await open(
      service('reviews', GONE) +
        service('ratings', GONE) +
        policy(`fallback: [{ service: { name: ratings } }, ${STATIC}]`),
      {},
      log,
    );
    expect(await ask()).toEqual({ id: 'static', fallback: 'static' });
    expect(mesh.prometheus()).toMatch(/mesh_client_fallbacks_total\{[^}]*mesh_fallback="static"[^}]*\} 1\b/);
    await vi.waitFor(() => expect(log.length).toBe(1));
    expect(JSON.parse(log[0] as string)).toMatchObject({ fallback: 'static', flags: 'UF,URX' });
  });

  test("a function of the application's answers", async () => {
    const seen: unknown[] = [];
    const { ask } = await open(service('reviews', GONE) + policy('fallback: [{ function: { name: mine } }]'), {
      mine: ({ protocol, path, reason }) => {
        seen.push({ protocol, path, reason });
        return protocol === 'grpc' ? { body: '{"id":"mine"}' } : Response.json({ id: 'mine' });
      },
    });
    expect(await ask()).toEqual({ id: 'mine', fallback: 'function' });
    const [protocol, path] = isGrpc(faceName) ? ['grpc', '/test.Echo/Get'] : ['http', '/get'];
    expect(seen).toEqual([{ protocol, path, reason: 'CONNECT_FAILED' }]);
  });

  test('the last good reply answers', async () => {
    const reviews = await opened.backend('reviews');
    const { ask } = await open(service('reviews', at(reviews)) + policy('fallback: [{ stale: {} }]'));
    expect(await ask({ 'x-user': 'ann' })).toEqual({ id: 'reviews', fallback: undefined });
    reviews.kill();
    // A proxy does not know of a gRPC method that it may be repeated.
    const expected: Seen = faceName === 'proxy, gRPC' ? { error: 'UNAVAILABLE' } : { id: 'reviews', fallback: 'stale' };
    expect(await ask({ 'x-user': 'ann' })).toEqual(expected);
  });

  test('while the breaker is open nothing is sent and the fallback answers', async () => {
    const reviews = await opened.backend('reviews');
    const { ask, mesh } = await open(
      service('reviews', at(reviews)) +
        policy(`breaker: { consecutiveFailures: 3, basePenalty: 1m }, fallback: [${STATIC}]`),
    );
    reviews.kill();
    for (let i = 0; i < 6; i++) expect(await ask()).toEqual({ id: 'static', fallback: 'static' });
    const text = mesh.prometheus();
    expect(text).toMatch(/mesh_client_breaker_transitions_total\{[^}]*mesh_breaker_state="open"[^}]*\} 1\b/);
    expect(text).toMatch(/mesh_client_fallbacks_total\{[^}]*error_type="BREAKER_OPEN"[^}]*\} [1-9]/);
  });

  test('a service that does not answer in time has its fallback within the time', async () => {
    const reviews = await opened.backend('reviews');
    const kind = isGrpc(faceName) ? 'GRPCRoute' : 'HTTPRoute';
    const timeouts = isGrpc(faceName) ? '' : ', timeouts: { request: 200ms }';
    const { ask } = await open(
      service('reviews', at(reviews)) +
        policy(`fallback: [${STATIC}]`) +
        `---
apiVersion: gateway.networking.k8s.io/v1
kind: ${kind}
metadata: { name: reviews }
spec: { parentRefs: [{ kind: Service, group: "", name: reviews }], rules: [{ backendRefs: [{ name: reviews, port: 80 }]${timeouts} }] }
`,
    );
    // gRPC has no time limit but the caller's own.
    if (isGrpc(faceName)) return;
    expect(await ask({ 'x-behave': 'hang' })).toEqual({ id: 'static', fallback: 'static' });
  });
});
