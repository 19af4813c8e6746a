import { Socket } from 'node:net';
import { expect, test } from 'vitest';
import { isLost } from '../../../src/server/tls/carrier.js';
import { grpcSocket, knowGrpcSocket } from '../../../src/server/tls/grpc-ends.js';
import { GrpcConnections } from '../../../src/server/xds/grpc-gate.js';

/* grpc-js tells of a call's connection its two ends; those of Unix sockets, and of what is gone, are all alike. */

const UNKNOWN = { remoteAddress: undefined, remotePort: undefined, localAddress: undefined, localPort: undefined };
const ENDS = { remoteAddress: '127.0.0.1', remotePort: 1, localAddress: '127.0.0.1', localPort: 2 };

test('a call whose ends are not known is nobody’s, and not one more of another connection without ends', () => {
  expect(grpcSocket(UNKNOWN)).toBeUndefined();
  const nameless = new Socket();
  knowGrpcSocket(nameless);
  expect(grpcSocket(UNKNOWN)).not.toBe(nameless);
  expect([isLost(grpcSocket(UNKNOWN)), grpcSocket(ENDS)]).toEqual([true, undefined]);
});

test('nor does a server take it for that of a connection that it has', () => {
  const connections = new GrpcConnections();
  connections.add({ socket: new Socket() } as Parameters<GrpcConnections['add']>[0]);
  expect(connections.find(UNKNOWN)).toBeUndefined();
});
