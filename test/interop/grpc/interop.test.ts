import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { MeshChannel } from '../../../src/client/grpc/channel.js';
import { systemClock } from '../../../src/core/clock.js';
import { silentLogger } from '../../../src/core/log.js';
import { type Mesh, meshClient } from '../../../src/index.js';
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
  let mesh: Mesh;
  /** The channel that mesh.channel() gives, with a tap between it and the mesh. */
  const open: OpenChannel = (options) => {
    const tapped = newTap();
    const channel = new MeshChannel(tap(tapped)(mesh.service), 'interop', { clock: systemClock, options });
    return { channel, tapped };
  };

  beforeAll(async () => {
    if (skip) return;
    server = await start();
    mesh = meshClient({ services: { interop: [`127.0.0.1:${server.port}`] }, logger: silentLogger });
    await mesh.ready();
  });
  afterAll(async () => {
    if (skip) return;
    for (const { requests, pending } of (await mesh.configDump()).clusters)
      expect({ requests, pending }).toEqual({ requests: 0, pending: 0 });
    await mesh.close();
    await server.close();
  });

  test.skipIf(skip).each(cases)('$name', ({ run }) => run(open));
});
