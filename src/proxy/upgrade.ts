import { type IncomingMessage, request as httpRequest, STATUS_CODES } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { endToEndHeaders, type HeaderFields, headerFields } from '../core/headers.js';
import { peerOf } from '../core/identity.js';
import { PRIORITY_HEADER } from '../core/mesh-headers.js';
import type { Passage } from '../server/gate.js';
import { isEncrypted } from '../server/tls/carrier.js';
import type { PinnedApp } from './app.js';
import type { ExchangeEnv } from './exchange.js';
import { signClientCert, signForwarded } from './forwarded.js';
import { proxyRefusal, requestHeaders } from './policies.js';
import { badRequest, programGone, type Refusal, refusalReply } from './refusal.js';
import { accept, type RequestHead } from './request.js';

/** What Istio lets through without being told (`upgrade_configs`). Of h2c nobody could look at the requests (RFC 9113 section 3.1). */
const CARRIED = /^websocket$/i;

/**
 * A request to use its connection for something else, in front of a program: what policies let in the program is asked, and when it agrees (101) the two have the
 * connection to themselves. Where it does not, its answer is passed on and is the last on the connection: what came behind the request was read by nobody, and no
 * policy has seen it.
 */
export function serveUpgrade(
  env: ExchangeEnv,
  app: PinnedApp,
  message: IncomingMessage,
  socket: Socket,
  sent: Buffer,
): void {
  const head: RequestHead = {
    version: '1.1',
    method: message.method as string,
    target: message.url as string,
    authority: undefined,
    scheme: undefined,
    raw: message.rawHeaders,
  };
  socket.on('error', () => socket.destroy());
  const refuse = (refusal: Refusal): void => {
    const { headers, body } = refusalReply(refusal);
    writeHead(socket, refusal.status, headers, LAST);
    end(socket, body);
  };
  const accepted = accept(head, env.limits.maxHeaders, (protocol) => CARRIED.test(protocol));
  if ('status' in accepted) return refuse(accepted);
  // RFC 6455 section 4.1. And what came behind a body would be taken for the tunnel's.
  if (head.method !== 'GET' || accepted.size !== undefined || message.headers['transfer-encoding'] !== undefined)
    return refuse(badRequest('a WebSocket begins with a GET that has no body'));
  const { headers, authority } = accepted;
  if (isEncrypted(socket)) headers['x-forwarded-proto'] ??= 'https';
  if (!env.trustPriority) delete headers[PRIORITY_HEADER];
  signClientCert(headers, peerOf(socket));
  const send = (path: string, passed: HeaderFields): void => {
    const permit = env.shedding?.admit('http', path, passed);
    if (permit !== undefined && 'status' in permit) return refuse(permit);
    // A tunnel lasts as long as it likes, and tells nothing of how long requests take.
    permit?.end('left');
    signForwarded(passed, '1.1', env.name, socket.remoteAddress);
    tunnel(env, app, { path, headers: { ...passed, host: authority, ...UPGRADE } }, socket, sent, refuse);
  };
  const { policies } = env;
  if (policies === undefined) return send(accepted.path, headers);
  const context = policies.context(head, accepted, { socket, raw: message });
  socket.once('close', () => context.callerGone());
  const go = (passage: Passage): void => {
    // Whether it goes on or not, it takes no place any more.
    if (passage === undefined) policies.withdrawn(context);
    else context.over();
    if (socket.destroyed) return;
    if (passage === undefined) return send(context.view?.path ?? accepted.path, requestHeaders(context, headers));
    if (passage.reset === true) return void socket.resetAndDestroy();
    if (passage.isAnswer !== true) return refuse(proxyRefusal(passage));
    writeHead(socket, passage.status, headerFields(passage.headers), LAST);
    end(socket, undefined);
  };
  const passage = policies.refusal(context, 'http');
  if (passage instanceof Promise) void passage.then(go);
  else go(passage);
}

const UPGRADE = { connection: 'Upgrade', upgrade: 'websocket' };
const LAST = { connection: 'close' };

function tunnel(
  { clock, limits }: ExchangeEnv,
  { address }: PinnedApp,
  request: { readonly path: string; readonly headers: HeaderFields },
  socket: Socket,
  sent: Buffer,
  refuse: (refusal: Refusal) => void,
): void {
  const asked = httpRequest({ ...address, ...request, method: 'GET', agent: false });
  let answered = false;
  const heard = (): void => {
    answered = true;
    stop();
  };
  const stop = clock.after(limits.headersTimeoutMs, () => asked.destroy(new Error('no answer in time')), {
    background: true,
  });
  socket.once('close', () => {
    stop();
    asked.destroy();
  });
  asked.on('error', (error) => {
    stop();
    if (answered || socket.destroyed) socket.destroy();
    else refuse(programGone(error.message));
  });
  asked.on('response', (reply) => {
    heard();
    writeHead(socket, reply.statusCode as number, endToEndHeaders(headerFields(reply.headers)), LAST);
    reply.on('error', () => socket.destroy());
    reply.pipe(socket);
  });
  asked.on('upgrade', (reply, program, rest) => {
    heard();
    writeHead(socket, 101, endToEndHeaders(headerFields(reply.headers)), UPGRADE);
    socket.write(rest);
    program.write(sent);
    join(socket, program);
  });
  asked.end();
}

/** Both directions; when one of the two is gone the other goes as well. */
function join(socket: Socket, program: Duplex): void {
  for (const [from, to] of [
    [socket, program],
    [program, socket],
  ] as const) {
    from.on('error', () => to.destroy());
    from.once('close', () => to.destroy());
    from.pipe(to);
  }
}

function writeHead(socket: Duplex, status: number, headers: HeaderFields, own: HeaderFields): void {
  const fields: HeaderFields = { ...headers, ...own };
  const lines = Object.keys(fields).flatMap((name) =>
    [fields[name] as string | string[]].flat().map((value) => `${name}: ${value}\r\n`),
  );
  socket.write(`HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ''}\r\n${lines.join('')}\r\n`, 'latin1');
}

const end = (socket: Duplex, body: Uint8Array | undefined): void => {
  socket.end(body ?? '', () => socket.destroy());
};
