import { Server as HttpServer } from 'node:http';
import * as grpc from '@grpc/grpc-js';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Resource } from '../../../src/core/resources.js';
import { meshServerInterceptor } from '../../../src/server/grpc.js';
import { meshHandler } from '../../../src/server/http.js';
import type { ShedOptions } from '../../../src/server/shedding/options.js';
import { XdsServer } from '../../../src/server/xds/grpc-server.js';
import { grpcMethod, HeldHandler, SERVER_FACES } from '../../support/server-faces.js';
import { ServedOverAds } from '../../support/served-over-ads.js';
import { override } from '../../support/route-filters.js';
import { any, routeResource } from '../../support/xds-resources.js';
import { freeAddress, until } from './support.js';

/** Envoy's `adaptive_concurrency` filter for servers under configuration, over real sockets on both sides: control plane to server, client to server. */

const adaptive = (minRtt: Resource = {}, fields: Resource = {}): Resource => ({
  name: 'concurrency',
  typed_config: any('envoy.extensions.filters.http.adaptive_concurrency.v3.AdaptiveConcurrency', {
    gradient_controller_config: {
      concurrency_limit_params: { concurrency_update_interval: { seconds: 60 } },
      min_rtt_calc_params: { interval: { seconds: 60 }, min_concurrency: { value: 1 }, ...minRtt },
    },
    ...fields,
  }),
});

const LIMITER = (served: ServedOverAds): string => `${served.listenerName}/main`;

let served: ServedOverAds;
let held: HeldHandler;

beforeEach(async () => {
  served = await ServedOverAds.start(await freeAddress());
  held = new HeldHandler();
});
afterEach(async () => {
  held.go();
  await served.close();
});

describe.each(Object.entries(SERVER_FACES))('%s', (name, face) => {
  const refusedAs = name === 'grpc-js' ? grpc.status.RESOURCE_EXHAUSTED : 503;
  const ok = name === 'grpc-js' ? grpc.status.OK : 200;
  const ask = (path?: string) => face.ask(served.address, path);
  const active = (): number | undefined => served.meter.active[LIMITER(served)];

  test('what the filter does not let in is refused before the handler; with room it is served again', async () => {
    const serving = served.serve(face.server(held.handle));
    served.put([adaptive()]);
    await serving.ready();
    const running = held.next();
    const first = ask();
    await running;
    expect((await ask().told).status).toBe(refusedAs);
    expect([held.runs, active()]).toEqual([1, 1]);
    expect(served.meter.events.filter(({ kind }) => kind === 'shed')).toEqual([
      { kind: 'shed', protocol: name === 'grpc-js' ? 'grpc' : 'http', priority: 'default', reason: 'concurrency' },
    ]);
    held.go();
    expect((await first.told).status).toBe(ok);
    await until(() => active() === 0);
    const again = held.next();
    const second = ask();
    await again;
    held.go();
    expect((await second.told).status).toBe(ok);
  });

  test('a route that switches the filter off is let in past the limit, and takes no place', async () => {
    const serving = served.serve(face.server(held.handle));
    const route = {
      match: { prefix: '/' },
      non_forwarding_action: {},
      ...override(['concurrency', any('envoy.config.route.v3.FilterConfig', { disabled: true })]),
    };
    served.put([adaptive()], { route_config: routeResource('routes', [route]) });
    await serving.ready();
    const calls = [];
    for (let i = 0; i < 2; i++) {
      const running = held.next();
      calls.push(ask());
      await running;
    }
    expect([held.runs, active()]).toEqual([2, 0]);
    held.go();
    for (const { told } of calls) expect((await told).status).toBe(ok);
  });

  test('who leaves gives the place back', async () => {
    const serving = served.serve(face.server(held.handle));
    served.put([adaptive()]);
    await serving.ready();
    const running = held.next();
    const first = ask();
    await running;
    expect(active()).toBe(1);
    first.leave();
    await until(() => active() === 0);
  });

  test('an update that leaves the filter alone keeps what it has counted; another filter begins anew', async () => {
    const serving = served.serve(face.server(held.handle));
    served.put([adaptive()]);
    await serving.ready();
    const running = held.next();
    const first = ask();
    await running;
    await served.update([adaptive()], { common_http_protocol_options: { max_stream_duration: { seconds: 600 } } });
    expect((await ask().told).status).toBe(refusedAs);
    // Connections that came before keep their chain, so the count is that of all.
    expect(active()).toBe(1);
    await served.update([adaptive({ buffer: { value: 50 } })]);
    expect(active()).toBe(0);
    const again = held.next();
    const second = ask();
    await again;
    held.go();
    expect([(await first.told).status, (await second.told).status]).toEqual([ok, ok]);
    await served.update([]);
    expect(active()).toBe(undefined);
  });

  test('a stream of events holds its place until its end, as in Envoy', async () => {
    const serving = served.serve(face.server(held.handle));
    served.put([adaptive()]);
    await serving.ready();
    const stream = ask('/events');
    await stream.head;
    expect([held.runs, active()]).toEqual([1, 1]);
    expect((await ask().told).status).toBe(refusedAs);
    held.go();
    expect((await stream.told).status).toBe(ok);
    await until(() => active() === 0);
  });
});

test('the status is the one that the filter says, over HTTP', async () => {
  const face = SERVER_FACES['node:http'] as (typeof SERVER_FACES)[string];
  const serving = served.serve(face.server(held.handle));
  served.put([adaptive({}, { concurrency_limit_exceeded_status: { code: 'TooManyRequests' } })]);
  await serving.ready();
  const running = held.next();
  void face.ask(served.address);
  await running;
  const { status, headers } = await face.ask(served.address).told;
  expect([status, headers['mesh-error'], headers['retry-after']]).toEqual([429, 'MA', undefined]);
});

describe('with the middleware’s own shedding', () => {
  const two = (): ShedOptions => ({ initialLimit: 2, minLimit: 2, maxLimit: 2, maxLagMs: false, name: 'own' });
  const SERVERS = {
    'node:http': () =>
      new HttpServer(
        meshHandler(
          async (_, response) => {
            await held.handle();
            response.end('ok');
          },
          { mesh: { meter: served.meter }, shed: two() },
        ),
      ),
    'grpc-js': () => {
      const server = new XdsServer({ interceptors: [meshServerInterceptor({ mesh: served, shed: two() })] });
      server.addService(
        { get: grpcMethod('/test/Get') },
        {
          async get(_call: unknown, done: grpc.sendUnaryData<Buffer>) {
            await held.handle();
            done(null, Buffer.from('ok'));
          },
        },
      );
      return server;
    },
  };

  test.each(['node:http', 'grpc-js'] as const)('%s: each counts a request once, and gets it back', async (name) => {
    const face = SERVER_FACES[name] as (typeof SERVER_FACES)[string];
    const refusedAs = name === 'grpc-js' ? grpc.status.RESOURCE_EXHAUSTED : 503;
    const serving = served.serve(SERVERS[name]());
    served.put([adaptive({ min_concurrency: { value: 3 } })]);
    await serving.ready();
    const asked = [];
    for (let i = 0; i < 2; i++) {
      const running = held.next();
      asked.push(face.ask(served.address));
      await running;
    }
    expect(served.meter.active).toEqual({ own: 2, [LIMITER(served)]: 2 });
    // The inner one is full, and refuses: the outer one has its place back.
    expect((await face.ask(served.address).told).status).toBe(refusedAs);
    await until(() => served.meter.active[LIMITER(served)] === 2);
    held.go();
    await Promise.all(asked.map(({ told }) => told));
    await until(() => served.meter.active['own'] === 0 && served.meter.active[LIMITER(served)] === 0);
  });
});
