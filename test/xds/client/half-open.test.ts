import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import type { ChannelCredentials } from '@grpc/grpc-js';
import { expect, test } from 'vitest';
import { HalfOpenSockets } from '../../../src/xds/client/half-open.js';
import { until } from './harness.js';

type Create = ChannelCredentials['_createSecureConnector'];

test('sockets that a channel connects keep no process alive, and are ended', async () => {
  const server = createServer((socket) => socket.on('error', () => {}));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const connected: Socket[] = [];
  const connector = {
    connect: async (socket: Socket) => {
      connected.push(socket);
      return { socket, secure: false };
    },
  };
  const credentials = { _createSecureConnector: (() => connector) as unknown as Create };
  const sockets = new HalfOpenSockets(credentials);
  const socket = connect((server.address() as AddressInfo).port, '127.0.0.1');
  await (credentials._createSecureConnector as unknown as () => typeof connector)().connect(socket);
  expect(connected).toEqual([socket]);
  await until(() => !socket.connecting);
  sockets.destroy();
  expect(socket.destroyed).toBe(true);
  server.close();
});

test.each([
  ['connectors', {}],
  ['a way to connect', { _createSecureConnector: (() => ({})) as unknown as Create }],
])('credentials of a grpc-js without %s are left as they are', (_, credentials: Partial<ChannelCredentials>) => {
  const sockets = new HalfOpenSockets(credentials);
  expect(credentials._createSecureConnector?.call(credentials as never, {} as never, {})).toEqual(
    '_createSecureConnector' in credentials ? {} : undefined,
  );
  sockets.destroy();
});
