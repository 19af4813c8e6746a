import type { ServerUnaryCall, sendUnaryData } from '@grpc/grpc-js';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Address, addressKey } from '../../../src/core/model/endpoint.js';
import { CLUSTER, ENDPOINT, LISTENER, type Resource, ROUTE } from '../../../src/core/resources.js';
import { XdsServer } from '../../../src/grpc.js';
import { type Mesh, meshClient } from '../../../src/index.js';
import { freeAddress, until } from '../../server/xds/support.js';
import { HeldAds } from '../../support/held-ads.js';
import { chain, httpFilter, listenerOf, socketAddress } from '../../support/server-resources.js';
import {
  ads,
  clusterResource,
  endpointResource,
  listenerResource,
  routeResource,
  toCluster,
} from '../../support/xds-resources.js';
import { ForeignClient, pythonWithGrpc } from './foreign-client.js';

/**
 * A mesh of two that were not made for each other: gRPC's C core calls a server of ours, and one control plane configures both.
 *
 * 1. The caller finds the server through xDS; the server's routes let the method in.
 * 2. They no longer do: the caller gets UNAVAILABLE, on the connection that it has.
 * 3. They do again: it is served.
 * 4. The listener changes: the connection is drained, and the caller loses no call over it.
 */
const TEMPLATE = 'grpc/server?xds.resource.listening_address=%s';
const METHOD = '/test.Reviews/Get';
const CALLS = { target: 'xds:///reviews', count: 1 };

const python = pythonWithGrpc();
if (python === undefined) {
  console.warn('an xDS server under calls of grpcio (C core) is not tested: no Python with grpcio; set INMESH_PYTHON');
}

describe.skipIf(python === undefined)('Python grpcio (C core) calls an XdsServer', () => {
  let plane: HeldAds;
  let mesh: Mesh;
  let address: Address;
  let serving: Awaited<ReturnType<Mesh['serve']>>;
  let caller: ForeignClient;
  let served = 0;
  /** The caller's end of each connection that a call came on. */
  const connections = new Set<string>();

  const name = (): string => TEMPLATE.replace('%s', addressKey(address));
  const listener = (fields: Resource = {}): Resource => ({
    ...listenerOf(name(), [
      chain({ source_type: 'SAME_IP_OR_LOOPBACK' }, { filters: [httpFilter({ rds: RDS, ...fields })] }),
    ]),
    address: socketAddress(address.host, address.port),
  });
  const RDS: Resource = { config_source: ads, route_config_name: 'served' };
  const letIn = (path: string): void =>
    plane.put(ROUTE, routeResource('served', [{ name: path, match: { path }, non_forwarding_action: {} }]));
  /** What the next call that is answered otherwise than `before` is answered with. */
  const answerAfter = async (before: string): Promise<string> => {
    for (;;) {
      const [answer] = Object.keys(await caller.call(CALLS));
      if (answer !== undefined && answer !== before) return answer;
    }
  };

  beforeAll(async () => {
    plane = await HeldAds.start();
    address = await freeAddress();
    mesh = meshClient({
      xds: {
        xds_servers: [{ server_uri: plane.uri, channel_creds: [{ type: 'insecure' }], server_features: ['xds_v3'] }],
        node: { id: 'interop-server', cluster: 'interop' },
        server_listener_resource_name_template: TEMPLATE,
      },
    });
    const bytes = (value: Buffer): Buffer => value;
    const method = {
      path: METHOD,
      requestStream: false,
      responseStream: false,
      requestSerialize: bytes,
      requestDeserialize: bytes,
      responseSerialize: bytes,
      responseDeserialize: bytes,
    };
    const server = new XdsServer();
    const reply = (call: ServerUnaryCall<Buffer, Buffer>, done: sendUnaryData<Buffer>): void => {
      served++;
      connections.add(call.getPeer());
      done(null, Buffer.from('ours'));
    };
    server.addService({ Get: method }, { Get: reply });

    plane.put(LISTENER, listenerResource('reviews', 'calls'), listener());
    plane.put(ROUTE, routeResource('calls', [toCluster('reviews')]));
    letIn(METHOD);
    plane.put(CLUSTER, clusterResource('reviews'));
    plane.put(ENDPOINT, endpointResource('reviews', address.port));
    serving = await mesh.serve(server, { address: addressKey(address) });
    await serving.ready();
    caller = new ForeignClient(python ?? '', 'grpcio_client.py', Number(plane.uri.split(':')[1]));
  }, 60_000);

  afterAll(async () => {
    await caller?.close();
    await serving?.close({ graceMs: 0 });
    await mesh?.close();
    plane?.close();
  });

  it('is served, refused and served again as the routes say, and loses no call when the listener changes', async () => {
    expect(await caller.call({ ...CALLS, count: 10 })).toEqual({ ours: 10 });

    letIn('/test.Reviews/Put');
    expect(await answerAfter('ours')).toBe('14: no route of this server matches the request');
    const servedSoFar = served;
    await caller.call({ ...CALLS, count: 10 });
    expect(served).toBe(servedSoFar);

    letIn(METHOD);
    expect(await answerAfter('14: no route of this server matches the request')).toBe('ours');
    expect(connections.size).toBe(1);

    plane.put(LISTENER, listener({ common_http_protocol_options: { max_stream_duration: { seconds: 60 } } }));
    const answers = new Set<string>();
    while (connections.size === 1) {
      for (const answer of Object.keys(await caller.call({ ...CALLS, count: 10 }))) answers.add(answer);
    }
    await until(() => serving.connections === 1);
    expect([...answers]).toEqual(['ours']);
    expect(plane.nacks).toEqual([]);
  }, 60_000);
});
