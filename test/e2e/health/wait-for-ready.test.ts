import * as grpc from '@grpc/grpc-js';
import { afterEach, expect, test } from 'vitest';
import { type Clock, systemClock } from '../../../src/core/clock.js';
import { CLUSTER, ENDPOINT, LISTENER, ROUTE } from '../../../src/core/resources.js';
import { meshClient } from '../../../src/index.js';
import {
  clusterResource,
  endpointResource,
  listenerResource,
  routeResource,
  toCluster,
} from '../../support/xds-resources.js';
import { DualBackend } from '../../support/web-backend.js';
import { ECHO } from '../support/backend.js';
import { ScriptedPlane } from '../robustness/scripted-plane.js';
import { collectingLogger, Opened } from '../robustness/support.js';

/** Waits for what does not come are 15 s long otherwise. */
const clock: Clock = { ...systemClock, after: (ms, task, options) => systemClock.after(ms / 20, task, options) };
const opened = new Opened();
afterEach(() => opened.close());

test('gRPC’s wait_for_ready: a call waits for its cluster, and for an endpoint that can be reached; others fail at once', async () => {
  const backend = opened.add(await DualBackend.start('a'), (each) => each.kill());
  const gone = await DualBackend.start('gone');
  gone.kill();
  const plane = opened.add(await ScriptedPlane.start(), (each) => each.close());
  plane.hold(LISTENER, listenerResource('reviews', 'routes'));
  plane.hold(ROUTE, routeResource('routes', [toCluster('backend')]));
  plane.hold(CLUSTER);
  const mesh = opened.add(meshClient({ xds: plane.address, logger: collectingLogger(), clock }), (each) =>
    each.close(),
  );
  const Echo = grpc.makeGenericClientConstructor(ECHO, 'Echo');
  const client = mesh.grpc(Echo, 'reviews') as unknown as {
    get(request: object, metadata: grpc.Metadata, done: (error: grpc.ServiceError | null) => void): void;
  };
  /** Resolves with the status; the backend answers OK without a message, which a unary call takes for UNIMPLEMENTED or INTERNAL. */
  const call = (waitForReady: boolean) => {
    const metadata = new grpc.Metadata({ waitForReady });
    return new Promise<number>((resolve) => client.get({}, metadata, (error) => resolve(error?.code ?? 0)));
  };
  // To a cluster that is not there.
  const troubled = call(true);
  expect(await call(false)).toBe(grpc.status.UNAVAILABLE);
  plane.hold(CLUSTER, clusterResource('backend'));
  plane.hold(ENDPOINT, endpointResource('backend', backend.port));
  plane.push(CLUSTER);
  expect(await troubled).not.toBe(grpc.status.UNAVAILABLE);
  expect(backend.seen.grpc).toBe(1);
  // To an endpoint that refuses.
  plane.hold(ENDPOINT, endpointResource('backend', gone.port));
  plane.push(ENDPOINT);
  while ((await call(false)) !== grpc.status.UNAVAILABLE);
  const before = backend.seen.grpc;
  const unreachable = call(true);
  expect(await call(false)).toBe(grpc.status.UNAVAILABLE);
  plane.hold(ENDPOINT, endpointResource('backend', backend.port));
  plane.push(ENDPOINT);
  expect(await unreachable).not.toBe(grpc.status.UNAVAILABLE);
  expect(backend.seen.grpc).toBe(before + 1);
});
