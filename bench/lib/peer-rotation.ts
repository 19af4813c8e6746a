import { generateKeyPairSync } from 'node:crypto';
import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import type * as grpc from '@grpc/grpc-js';
import { type ControlPlane, type ControlPlaneCa, startControlPlane } from '../../src/controlplane/index.js';
import { silentLogger } from '../../src/core/log.js';
import { XdsServer } from '../../src/grpc.js';
import { meshClient } from '../../src/index.js';
import {
  type Issued,
  type PlaneStart,
  ROTATED,
  type ServerStart,
  STREAM_EVERY_MS,
  STREAM_MESSAGES,
} from './rotated.js';

/*
 * For `rotation` and `revocation`. A control plane with an authority, whose leaves live for seconds: GET /go opens it; GET /token?of=reviews makes a join token, GET /issue?of=reviews
 * a certificate, GET /revoke?of=reviews takes all of that name back, GET /rotate begins to rotate the root, GET /rotation says how far that is. Or a server under mutual TLS, whose GET /seen tells how many certificates it has had.
 */
const idOf = (service: string): string => `spiffe://cluster.local/ns/default/sa/${service}`;

/** A certificate with its key in the clear: for a caller that is no mesh. */
async function issued({ authority }: ControlPlaneCa, service: string): Promise<Issued> {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const spki = publicKey.export({ type: 'spki', format: 'der' });
  const { certificates } = await authority.issue({ spiffeId: idOf(service), publicKey: spki, by: 'bench' });
  return { cert: certificates.join(''), key: String(privateKey.export({ type: 'pkcs8', format: 'pem' })) };
}

const [role, json = '{}'] = process.argv.slice(2);
let routes: Readonly<Record<string, (query: URLSearchParams) => unknown>>;
let port: number;

if (role === 'plane') {
  const { config, directory, listen, caListen, leafMs, distributeMs } = JSON.parse(json) as PlaneStart;
  // Everything that one needs is loaded before it is its turn.
  const warm = { directory: `${directory}-warm-${process.pid}`, listen: '127.0.0.1:0' };
  await (await startControlPlane({ config, listen: '127.0.0.1:0', ca: warm })).close();
  let opened: ControlPlane | undefined;
  const authority = (): ControlPlaneCa => {
    if (opened?.ca === undefined) throw new Error('the control plane is not open');
    return opened.ca;
  };
  port = Number(listen.split(':').at(-1));
  routes = {
    '/go': async () => {
      const ca = { directory, listen: caListen, leafMs, distributeMs };
      opened = await startControlPlane({ config, listen, ca });
    },
    '/token': async (query) => (await authority().tokens.create(idOf(String(query.get('of'))))).token,
    '/issue': (query) => issued(authority(), String(query.get('of'))),
    '/revoke': async (query) => (await authority().authority.revoke(idOf(String(query.get('of'))))).length,
    '/rotate': async () => void (await authority().authority.rotateRoot()),
    '/rotation': () => authority().authority.state.rotation?.step ?? 'none',
  };
} else {
  const { service, xds, ca, token, serve, kind } = JSON.parse(json) as ServerStart;
  const identity = { ca: { address: ca, joinToken: token } };
  const mesh = meshClient({ service, xds, identity, logger: silentLogger });
  const peer = (): string => mesh.peer()?.spiffeId ?? 'nobody';
  const answer: RequestListener = (request, response) => {
    request.resume();
    response.end(peer());
  };
  let server: XdsServer | ReturnType<typeof createServer>;
  if (kind === 'http') server = createServer(answer);
  else {
    server = new XdsServer();
    server.addService(ROTATED, {
      get: (_: unknown, done: grpc.sendUnaryData<Buffer>) => done(null, Buffer.from(peer())),
      watch(call: grpc.ServerWritableStream<Buffer, Buffer>) {
        let sent = 0;
        const timer = setInterval(() => {
          call.write(Buffer.from(`${sent} ${peer()}`));
          if (++sent < STREAM_MESSAGES) return;
          clearInterval(timer);
          call.end();
        }, STREAM_EVERY_MS);
        call.on('cancelled', () => clearInterval(timer));
      },
    });
  }
  await (await mesh.serve(server, { address: serve, service })).ready();
  port = Number(serve.split(':').at(-1));
  let seen = 0;
  let last: number | undefined;
  setInterval(() => {
    const now = mesh.identity()?.notAfter;
    if (last !== undefined && now !== last) seen++;
    last = now;
  }, 50);
  routes = { '/seen': () => seen };
}

const control = createServer((request, response) => {
  const { pathname, searchParams } = new URL(request.url ?? '/', 'http://control');
  const answered = (async () => routes[pathname]?.(searchParams))();
  answered.then(
    (answer) => response.end(JSON.stringify(answer ?? null)),
    (error: Error) => response.writeHead(500).end(error.message),
  );
});
control.listen(0, '127.0.0.1', () => process.send?.({ port, control: (control.address() as AddressInfo).port }));
process.on('disconnect', () => process.exit());
