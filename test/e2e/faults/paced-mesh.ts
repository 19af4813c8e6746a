import { once } from 'node:events';
import http from 'node:http';
import http2 from 'node:http2';
import type { AddressInfo } from 'node:net';
import { silentLogger } from '../../../src/core/log.js';
import { seededRandom } from '../../../src/core/random.js';
import { createMesh, type Mesh } from '../../../src/mesh/mesh.js';
import { transports } from '../../../src/mesh/transports.js';
import { createObservability } from '../../../src/observability/observability.js';
import { testConfig } from '../../../src/testing/test-config.js';
import { FakeClock } from '../../support/fake-clock.js';
import { requestPolicyYaml, serviceYaml } from '../../support/mesh-yaml.js';

/** What every answer of the service is: 1 MiB, of which no two neighbouring slices are alike. */
export const MEBIBYTE = Buffer.alloc(1_048_576, 'a whole mebibyte, again and again; ');

export interface PacedMesh {
  readonly mesh: Mesh;
  readonly clock: FakeClock;
  /** Requests that arrived. */
  readonly seen: { count: number };
  close(): Promise<void>;
}

/** A mesh with real sockets to a real service, and a clock that stands still until the test lets it go on. */
export async function pacedMesh(upstream: 'HTTP/1.1' | 'HTTP/2', policy: string): Promise<PacedMesh> {
  const clock = new FakeClock();
  const random = seededRandom(1);
  const seen = { count: 0 };
  const server = upstream === 'HTTP/1.1' ? http.createServer() : http2.createServer();
  const sockets = new Set<{ destroy(): unknown }>();
  server.on('connection', (socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
    socket.on('error', () => {});
  });
  server.on('sessionError', () => {});
  server.on('request', (_request: http.IncomingMessage, response: http.ServerResponse) => {
    seen.count++;
    response.on('error', () => {});
    response.writeHead(200, { 'content-type': 'application/octet-stream', 'content-length': String(MEBIBYTE.length) });
    response.end(MEBIBYTE);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const endpoint = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  const ports = upstream === 'HTTP/1.1' ? '' : ', ports: [{ port: 80, appProtocol: kubernetes.io/h2c }]';
  const yaml =
    serviceYaml('reviews', `endpoints: ["${endpoint}"]${ports}`) +
    requestPolicyYaml('FaultPolicy', 'chaos', 'kind: Service, name: reviews', policy);
  const resolve = (host: string): Promise<never> => Promise.reject(new Error(`no such host: ${host}`));
  const mesh = createMesh({
    source: testConfig({}, yaml, { resolve, clock, random, logger: silentLogger }),
    unknownHosts: { policy: () => 'deny', resolve },
    env: { clock, random, logger: silentLogger, transports },
    observability: createObservability({ service: 'test', clock, random, logger: silentLogger }),
  });
  const close = async (): Promise<void> => {
    await mesh.close();
    server.close();
    for (const socket of sockets) socket.destroy();
  };
  return { mesh, clock, seen, close };
}
