import { afterEach, describe, expect, it, vi } from 'vitest';
import { CLUSTER, ENDPOINT, LISTENER, ROUTE } from '../../../src/core/resources.js';
import { silentLogger } from '../../../src/core/log.js';
import { type Mesh, meshClient } from '../../../src/index.js';
import type { ApiType } from '../../../src/xds/bootstrap/index.js';
import { Backend } from '../../e2e/support/backend.js';
import { type FaceName, isGrpc } from '../../e2e/support/echo.js';
import { openFace } from '../../e2e/support/faces.js';
import { GoPlane, missing } from './programs.js';

/*
 * A mesh under a control plane that others wrote (go-control-plane's cache and server, test/interop/go/plane):
 *
 * 1. Calls are served with what it says, and nothing is refused.
 * 2. An endpoint moves, one is removed, a service is added: calls follow.
 * 3. The control plane is gone: calls go on. It comes back with another configuration: calls follow.
 */
if (missing !== undefined) console.warn(`interop with go-control-plane is skipped: ${missing}`);

const API_TYPES: readonly ApiType[] = ['AGGREGATED_GRPC', 'AGGREGATED_DELTA_GRPC', 'GRPC', 'DELTA_GRPC'];
const FACES: readonly FaceName[] = ['fetch', 'gRPC'];
const WAIT = { timeout: 20_000, interval: 10 };

describe.each(API_TYPES.flatMap((api) => FACES.map((face) => ({ api, face }))))(
  '$face under go-control-plane, $api',
  ({ api, face: faceName }) => {
    const opened: (() => Promise<unknown> | unknown)[] = [];
    afterEach(async () => {
      for (const close of opened.splice(0).reverse()) await close();
    });

    const backend = async (id: string): Promise<Backend> => {
      const started = await Backend.start(id);
      opened.push(() => started.kill());
      return started;
    };
    const at = (it: Backend): string => `127.0.0.1:${isGrpc(faceName) ? it.grpcPort : it.httpPort}`;
    const plane = async (port?: number): Promise<GoPlane> => {
      const started = await GoPlane.start(port);
      opened.push(() => started.stop());
      return started;
    };
    const mesh = (port: number, ...features: string[]): Mesh => {
      const server = {
        server_uri: `127.0.0.1:${port}`,
        channel_creds: [{ type: 'insecure' }],
        api_type: api,
        server_features: features,
      };
      const started = meshClient({
        xds: { xds_servers: [server], node: { id: 'inmesh-interop' } },
        unknownHosts: 'deny',
        logger: silentLogger,
      });
      opened.push(() => started.close());
      return started;
    };
    /** Opens the face to a service; says who answers it. */
    const asking = async (of: Mesh, service: string): Promise<() => Promise<string>> => {
      const face = await openFace(faceName, of, service);
      opened.push(() => face.close());
      return () => face.send();
    };
    const answersOf = async (ask: () => Promise<string>): Promise<string[]> =>
      [...new Set(await Promise.all(Array.from({ length: 20 }, ask)))].sort();

    it.skipIf(missing)('calls are served, follow every change, and nothing is refused', async () => {
      const [one, two, other] = [await backend('one'), await backend('two'), await backend('other')];
      const go = await plane();
      go.serve({ orders: [at(one)] });
      const client = mesh(go.port);
      const orders = await asking(client, 'orders');
      expect(await orders()).toBe('one');

      go.serve({ orders: [at(one), at(two)] });
      await vi.waitFor(async () => expect(await answersOf(orders)).toEqual(['one', 'two']), WAIT);
      go.serve({ orders: [at(two)] });
      await vi.waitFor(async () => expect(await answersOf(orders)).toEqual(['two']), WAIT);
      go.serve({ orders: [at(two)], reviews: [at(other)] });
      const reviews = await asking(client, 'reviews');
      await vi.waitFor(async () => expect(await reviews()).toBe('other'), WAIT);

      expect(go.refusals).toEqual([]);
      for (const type of [LISTENER, ROUTE, CLUSTER, ENDPOINT]) expect(go.carried(type)).not.toEqual([]);
      const isDelta = api.includes('DELTA');
      expect(new Set(go.events.filter(({ type }) => type).map(({ delta }) => delta ?? false))).toEqual(
        new Set([isDelta]),
      );
    });

    it.skipIf(missing)('without its control plane it goes on, and follows it when it is back', async () => {
      const [one, two] = [await backend('one'), await backend('two')];
      const first = await plane();
      const services = { orders: [at(one)], still: [at(one)] };
      first.serve(services);
      const client = mesh(first.port);
      const [orders, still] = [await asking(client, 'orders'), await asking(client, 'still')];
      expect([await orders(), await still()]).toEqual(['one', 'one']);

      await first.stop();
      expect(await answersOf(orders)).toEqual(['one']);

      const second = await plane(first.port);
      second.serve({ ...services, orders: [at(two)] });
      await vi.waitFor(async () => expect(await answersOf(orders)).toEqual(['two']), WAIT);
      expect(await still()).toBe('one');
      expect(second.refusals).toEqual([]);
      // "initial_resource_versions": what the client kept, and what has not changed, does not travel again.
      if (api === 'AGGREGATED_DELTA_GRPC') expect(second.carried(ENDPOINT)).toEqual(['orders-cluster']);
    });

    it.skipIf(missing)(
      'a service that is removed fails if its server says that deletions count (gRFC A88), else it goes on',
      async () => {
        const one = await backend('one');
        const go = await plane();
        go.serve({ orders: [at(one)], reviews: [at(one)] });
        const [strict, lenient] = [mesh(go.port, 'fail_on_data_errors'), mesh(go.port)];
        const asks = await Promise.all([strict, lenient].map((of) => asking(of, 'orders')));
        const reviews = await asking(strict, 'reviews');
        const [strictly, leniently] = asks as [() => Promise<string>, () => Promise<string>];
        expect([await strictly(), await leniently(), await reviews()]).toEqual(['one', 'one', 'one']);

        go.serve({ reviews: [at(one)] });
        await vi.waitFor(() => expect(strictly()).rejects.toThrow(/UNAVAILABLE|UNKNOWN_HOST/), WAIT);
        expect(await reviews()).toBe('one');
        expect(await leniently()).toBe('one');
        expect(go.refusals).toEqual([]);
      },
    );
  },
);
