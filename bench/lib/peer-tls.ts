import { readFileSync } from 'node:fs';
import { createServer as createHttp } from 'node:http';
import { createServer as createHttp2 } from 'node:http2';
import { type AddressInfo, createServer, type Server } from 'node:net';
import { join } from 'node:path';
import { systemClock } from '../../src/core/clock.js';
import { silentLogger } from '../../src/core/log.js';
import { systemRandom } from '../../src/core/random.js';
import { memoryIdentity } from '../../src/identity/sources/memory.js';
import { tlsFactory } from '../../src/identity/tls/factory.js';
import { readIdentity } from '../../src/identity/svid.js';

/*
 * The same small replies over plain TCP and under mutual TLS: JSON over HTTP/1.1, an echo over gRPC. Argument: a folder with `cert.pem`, `key.pem` and
 * `roots.pem`. Over the channel to its parent: `port` is that of TLS, `control` that of plain HTTP/1.1, whose path `/h2c` has the port of plain HTTP/2.
 */
const [folder = ''] = process.argv.slice(2);
const pem = (name: string): string => readFileSync(join(folder, name), 'utf8');
const body = JSON.stringify({ hello: 'world', n: 12_345 });

const web = createHttp((request, response) => {
  request.resume();
  if (request.url === '/h2c') return void response.end(String((h2c.address() as AddressInfo).port));
  response.setHeader('content-type', 'application/json');
  response.end(body);
});
web.keepAliveTimeout = 60_000;

const rpc = createHttp2();
rpc.on('stream', (stream) => {
  const chunks: Buffer[] = [];
  stream.on('data', (chunk: Buffer) => chunks.push(chunk));
  stream.on('end', () => {
    stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true });
    stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }));
    stream.end(Buffer.concat(chunks));
  });
});

const source = memoryIdentity({
  identity: readIdentity({ certificates: pem('cert.pem'), privateKey: pem('key.pem') }),
  trust: { kind: 'spiffe', bundles: new Map([['cluster.local', [pem('roots.pem')]]]) },
});
const options = { clock: systemClock, random: systemRandom, logger: silentLogger };
const tls = tlsFactory({ ...options, providers: { get: () => source } }).server({
  identity: 'default',
  roots: { kind: 'provider', instance: 'default' },
  requireClientCertificate: true,
});
const secure = createServer({ noDelay: true }, (tcp) => {
  tcp.on('error', () => {});
  tls.secure(tcp, ['h2', 'http/1.1'], {
    secured: (socket) => void (socket.alpnProtocol === 'h2' ? rpc : web).emit('connection', socket),
    failed() {},
    drain() {},
  });
});
const h2c = createServer({ noDelay: true }, (socket) => void rpc.emit('connection', socket));

const listening = (server: Server): Promise<number> =>
  new Promise((resolve) => server.listen(0, '127.0.0.1', () => resolve((server.address() as AddressInfo).port)));
await listening(h2c);
process.send?.({ port: await listening(secure), control: await listening(web) });
process.on('disconnect', () => process.exit());
