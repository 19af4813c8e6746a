import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { MeshChannel } from '../../../src/client/grpc/channel.js';
import { systemClock } from '../../../src/core/clock.js';
import { type Direct, directService } from '../../support/direct-service.js';
import { pythonWithGrpc } from '../../support/python.js';
import { compressedReplyCases, interopCases, type OpenChannel } from './cases.js';
import { grpcJsServer, type InteropServer, pythonServer } from './servers.js';
import { newTap, tap } from './tap.js';

const python = await pythonWithGrpc();
if ('reason' in python) console.warn(`interop with C-core is skipped: ${python.reason}`);

const servers = [
  { name: 'grpc-js', start: grpcJsServer, cases: interopCases, skip: false },
  {
    name: 'grpcio (C-core)',
    start: () => ('python' in python ? pythonServer(python.python) : Promise.reject(new Error(python.reason))),
    cases: [...interopCases, ...compressedReplyCases],
    skip: 'reason' in python,
  },
];

describe.each(servers)('gRPC interop against $name', ({ start, cases, skip }) => {
  let server: InteropServer;
  const opened: Direct[] = [];
  const open: OpenChannel = (options) => {
    const tapped = newTap();
    const direct = directService(server.port, tap(tapped));
    opened.push(direct);
    return {
      channel: new MeshChannel(direct.service, `127.0.0.1:${server.port}`, { clock: systemClock, options }),
      tapped,
    };
  };

  beforeAll(async () => {
    if (!skip) server = await start();
  });
  afterAll(async () => {
    for (const direct of opened) {
      await direct.close();
      expect(direct.fixture.limits.open).toBe(0);
    }
    if (!skip) await server.close();
  });

  test.skipIf(skip).each(cases)('$name', ({ run }) => run(open));
});
