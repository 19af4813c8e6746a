import { once } from 'node:events';
import { createServer, get, type IncomingMessage } from 'node:http';
import http2 from 'node:http2';
import type { AddressInfo } from 'node:net';
import * as grpc from '@grpc/grpc-js';
import { afterEach, describe, expect, test } from 'vitest';
import { meshHandler, type Mesh } from '../../../src/index.js';
import { startProxy } from '../../../src/proxy/index.js';
import { serviceYaml } from '../../support/mesh-yaml.js';
import { type Opened, SERVED, type ServedKind } from '../support/served.js';
import { meshAsking } from './support.js';

/* What becomes of requests whose authorization service is slow, fails, or is not there, by each way in which a mesh is in front of a server. */

const opened: Opened = [];
afterEach(async () => {
  for (const close of opened.splice(0).reverse()) await close();
});

const statusOf = {
  'HTTP/1.1': async (port: number): Promise<number | undefined> => {
    const asked = get({ host: '127.0.0.1', port, headers: { host: 'localhost' }, agent: false });
    const [reply] = (await once(asked, 'response')) as [IncomingMessage];
    reply.resume();
    return reply.statusCode;
  },
  'HTTP/2': async (port: number): Promise<number> => {
    const session = http2.connect(`http://127.0.0.1:${port}`);
    const stream = session.request({ ':path': '/', ':authority': 'localhost' });
    const [head] = (await once(stream, 'response')) as [http2.IncomingHttpHeaders];
    stream.resume();
    session.close();
    return Number(head[':status']);
  },
};

const asking = (version: keyof typeof statusOf, port: number): Awaited<ReturnType<ServedKind['start']>> => ({
  ask: async () => ({ status: (await statusOf[version](port)) ?? 0, challenge: undefined }),
});

const NODE_HTTP2: ServedKind = {
  name: 'node:http2',
  grpc: false,
  async start(mesh, service, _, handled = () => {}) {
    const handler = (__: http2.Http2ServerRequest, response: http2.Http2ServerResponse): void => {
      handled();
      response.end('ok');
    };
    const server = http2.createServer(meshHandler(handler, { mesh, service }));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    opened.push(() => server.close());
    return asking('HTTP/2', (server.address() as AddressInfo).port);
  },
};

/** What is behind the proxy, as the Service `localhost`. */
let behind: { readonly port: number; handled: () => unknown };
const proxied = (version: keyof typeof statusOf): ServedKind => ({
  name: `the proxy over ${version}`,
  grpc: false,
  async start({ service, servers, meter }: Mesh, policies, _, handled = () => {}) {
    behind.handled = handled;
    const proxy = await startProxy({ service, servers, meter, policies, gateway: true, listen: '127.0.0.1:0' });
    opened.push(() => proxy.close({ graceMs: 0 }));
    return asking(version, Number(new URL(proxy.url).port));
  },
});

const MOODS = ['slow', 'broken', 'dead'] as const;
const MODES = [
  { spec: 'onFailure: deny', status: 403, code: grpc.status.PERMISSION_DENIED, handled: 0 },
  { spec: 'statusOnError: 503', status: 503, code: grpc.status.UNAVAILABLE, handled: 0 },
  { spec: 'onFailure: allow', status: 200, code: grpc.status.OK, handled: 1 },
];

describe.each(['grpc', 'http'])('a service over %s', (protocol) => {
  test.each([...SERVED, NODE_HTTP2, proxied('HTTP/1.1'), proxied('HTTP/2')])(
    '$name refuses requests that it does not answer about, with the status that is configured, or lets them pass where that is declared',
    async ({ grpc: isGrpc, start }) => {
      const server = createServer((_, response) => {
        behind.handled();
        response.end('ok');
      });
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
      opened.push(() => server.close());
      behind = { port: (server.address() as AddressInfo).port, handled: () => {} };
      const more = serviceYaml('localhost', `endpoints: ["127.0.0.1:${behind.port}"]`);
      for (const mood of MOODS)
        for (const { spec, status, code, handled } of MODES) {
          const { mesh, service } = await meshAsking(
            opened,
            protocol,
            () => (mood === 'dead' ? 'allow' : mood),
            spec,
            more,
          );
          if (mood === 'dead') await service.close();
          let served = 0;
          const one = await start(mesh, 'reviews', opened, () => void served++);
          const said = (await one.ask()).status;
          expect([mood, spec, said, served]).toEqual([mood, spec, isGrpc ? code : status, handled]);
        }
    },
  );
});
