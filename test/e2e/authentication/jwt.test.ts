import { once } from 'node:events';
import { createServer, get, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import * as grpc from '@grpc/grpc-js';
import { afterEach, describe, expect, test } from 'vitest';
import { ambientClaims } from '../../../src/core/ambient.js';
import { meshHandler } from '../../../src/server/http.js';
import { meshServerInterceptor } from '../../../src/server/grpc.js';
import { hmacToken, jwks, signToken, testKey } from '../../support/jwt.js';
import { listening } from '../../support/inbound-servers.js';
import { serviceYaml } from '../../support/mesh-yaml.js';
import { freeAddress } from '../../server/xds/support.js';
import { CARRIERS, openCarrier } from '../support/carriers.js';
import { type Opened, SERVED } from '../support/served.js';

const opened: Opened = [];
afterEach(async () => {
  for (const close of opened.splice(0).reverse()) await close();
});

const KEY = testKey('RS256', 'k1');
const ISSUER = 'https://issuer.test';
const now = (): number => Math.floor(Date.now() / 1_000);
const token = (claims: object = {}, key = KEY): string =>
  signToken(key, { iss: ISSUER, sub: 'ada', aud: 'reviews', exp: now() + 600, ...claims });
const bearer = (text: string): Record<string, string> => ({ authorization: `Bearer ${text}` });

const policy = (spec: string, more = '', target = ', targetRefs: [{ name: reviews }]'): string => `---
apiVersion: inmesh.dev/v1alpha1
kind: AuthenticationPolicy
metadata: { name: users }
spec: { jwt: [{ issuer: "${ISSUER}", audiences: [reviews], ${spec} }]${more}${target} }
`;
const INLINE = `jwks: '${jwks(KEY)}'`;

async function issuer(): Promise<{ url: string; served: { document: string; fetches: number; down: boolean } }> {
  const served = { document: jwks(KEY), fetches: 0, down: false };
  const server = createServer((_, response) => {
    served.fetches++;
    if (served.down) response.writeHead(503).end();
    else response.end(served.document);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  opened.push(() => server.close());
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/keys`, served };
}

describe.each(CARRIERS)('%s', (carrier) => {
  describe.each(SERVED)('$name', ({ grpc: isGrpc, start }) => {
    test('a request with a good token is served by a handler that knows its claims, and one without, or with one that is not good, is refused with a challenge', async () => {
      const { mesh, close } = await openCarrier(carrier, serviceYaml('reviews') + policy(INLINE));
      opened.push(close);
      const seen: unknown[] = [];
      const server = await start(mesh, 'reviews', opened, () => void seen.push(mesh.claims()?.sub));
      const refused = isGrpc ? grpc.status.UNAUTHENTICATED : 401;
      const good = token();
      // At first its keys are looked for, then it is known.
      for (let i = 0; i < 2; i++) expect((await server.ask(bearer(good))).status).toBe(isGrpc ? 0 : 200);
      const missing = await server.ask();
      expect(missing.status).toBe(refused);
      const bad = [
        token({ exp: now() - 120 }),
        token({ nbf: now() + 120 }),
        token({}, testKey('RS256', 'k1')),
        hmacToken(jwks(KEY), { iss: ISSUER, aud: 'reviews', exp: now() + 60 }),
        `${token().split('.').slice(0, 2).join('.')}.`,
        'nonsense',
      ];
      for (const text of bad) expect((await server.ask(bearer(text))).status).toBe(refused);
      expect((await server.ask(bearer(token({ aud: 'carts' })))).status).toBe(
        isGrpc ? grpc.status.PERMISSION_DENIED : 403,
      );
      if (!isGrpc) {
        expect(missing.challenge).toBe('Bearer');
        expect((await server.ask(bearer(token({ exp: 1 })))).challenge).toBe('Bearer error="invalid_token"');
      }
      expect(seen).toEqual(['ada', 'ada']);
      expect(ambientClaims()).toBeUndefined();
    });
  });
});

describe('an application behind it', () => {
  test('sees claims in headers that no client can make up, and no token', async () => {
    const yaml = policy(
      `${INLINE}, outputClaimToHeaders: [{ header: x-user, claim: sub }, { header: x-org, claim: org }]`,
    );
    const { mesh, close } = await openCarrier('embedded', serviceYaml('reviews') + yaml);
    opened.push(close);
    const { port, close: stop } = await listening(
      meshHandler(
        (request: IncomingMessage, response: ServerResponse) => {
          const { authorization, 'x-user': user, 'x-org': org } = request.headers;
          response.end(
            JSON.stringify({ authorization, user, org, raw: request.rawHeaders.filter((it) => it === 'root') }),
          );
        },
        { mesh, service: 'reviews' },
      ),
    );
    opened.push(stop);
    const reply = await fetch(`http://127.0.0.1:${port}/`, {
      headers: { ...bearer(token()), 'x-user': 'root', 'x-org': 'root' },
    });
    expect(await reply.json()).toEqual({ user: 'ada', raw: [] });
  });

  test.each([
    ['no cookie with a token that is not to be forwarded', '', 'theme=dark; lang=en'],
    ['the cookie with one that is', ', forwardOriginalToken: true', undefined],
  ])('sees %s', async (_, more, left) => {
    const yaml = policy(`${INLINE}, fromCookies: [session]${more}`);
    const { mesh, close } = await openCarrier('embedded', serviceYaml('reviews') + yaml);
    opened.push(close);
    const { port, close: stop } = await listening(
      meshHandler(
        ({ headers, rawHeaders }: IncomingMessage, response: ServerResponse) =>
          response.end(JSON.stringify([headers.cookie, rawHeaders.filter((it) => it.includes('theme='))])),
        { mesh, service: 'reviews' },
      ),
    );
    opened.push(stop);
    const cookie = `theme=dark; session=${token()}; lang=en`;
    const reply = await fetch(`http://127.0.0.1:${port}/`, { headers: { cookie } });
    const seen = left ?? cookie;
    expect(await reply.json()).toEqual([seen, [seen]]);
  });

  test('has the claims where it takes over the connection of a request, under mesh.serve', async () => {
    const { mesh, close } = await openCarrier('embedded', serviceYaml('reviews') + policy(INLINE));
    opened.push(close);
    const server = createServer().on('upgrade', (_, socket) =>
      socket.end(
        `HTTP/1.1 101 Switching Protocols\r\nupgrade: t\r\nconnection: upgrade\r\nx-sub: ${mesh.claims()?.sub}\r\n\r\n`,
      ),
    );
    const { host, port } = await freeAddress();
    const serving = await mesh.serve(server, { address: `${host}:${port}`, service: 'reviews' });
    await serving.ready();
    const headers = { ...bearer(token()), upgrade: 't', connection: 'upgrade' };
    const [reply] = (await once(get({ host, port, headers, agent: false }), 'upgrade')) as [IncomingMessage];
    expect(reply.headers['x-sub']).toBe('ada');
  });

  test('has the claims in all four kinds of gRPC call, and metadata that no client can make up', async () => {
    const yaml = policy(`${INLINE}, outputClaimToHeaders: [{ header: x-user, claim: sub }]`);
    const { mesh, close } = await openCarrier('embedded', serviceYaml('reviews') + yaml);
    opened.push(close);
    const server = new grpc.Server({ interceptors: [meshServerInterceptor({ mesh, service: 'reviews' })] });
    const bytes = (value: string): Buffer => Buffer.from(value);
    const kind = (requestStream: boolean, responseStream: boolean) => ({
      path: `/t.T/${requestStream}${responseStream}`,
      requestStream,
      responseStream,
      requestSerialize: bytes,
      requestDeserialize: String,
      responseSerialize: bytes,
      responseDeserialize: String,
    });
    const METHODS = {
      unary: kind(false, false),
      client: kind(true, false),
      server: kind(false, true),
      bidi: kind(true, true),
    };
    const said = (call: { metadata: grpc.Metadata }): string =>
      `${String(mesh.claims()?.sub)} ${call.metadata.get('x-user').join()} ${call.metadata.get('authorization').length}`;
    const answer = (
      call: grpc.ServerWritableStream<string, string> | grpc.ServerDuplexStream<string, string>,
    ): void => {
      call.write(said(call));
      call.end();
    };
    server.addService(METHODS, {
      unary: (call: grpc.ServerUnaryCall<string, string>, done: grpc.sendUnaryData<string>) => done(null, said(call)),
      client: (call: grpc.ServerReadableStream<string, string>, done: grpc.sendUnaryData<string>) => {
        call.resume();
        call.on('end', () => done(null, said(call)));
      },
      server: (call: grpc.ServerWritableStream<string, string>) => answer(call),
      bidi: (call: grpc.ServerDuplexStream<string, string>) => answer(call),
    });
    const port = await new Promise<number>((resolve, reject) =>
      server.bindAsync('127.0.0.1:0', grpc.ServerCredentials.createInsecure(), (error, at) =>
        error ? reject(error) : resolve(at),
      ),
    );
    opened.push(() => server.forceShutdown());
    const client = new grpc.Client(`127.0.0.1:${port}`, grpc.credentials.createInsecure());
    opened.push(() => client.close());
    const call = (name: keyof typeof METHODS, authorization: string | undefined): Promise<string> => {
      const metadata = new grpc.Metadata();
      metadata.set('x-user', 'root');
      if (authorization !== undefined) metadata.set('authorization', `Bearer ${authorization}`);
      const { path } = METHODS[name];
      return new Promise((resolve) => {
        const done: grpc.requestCallback<string> = (error, value) =>
          resolve(error ? `error ${error.code}` : String(value));
        const streaming = (stream: NodeJS.EventEmitter): void => {
          stream.on('data', (value) => resolve(String(value)));
          stream.on('error', (error: grpc.ServiceError) => resolve(`error ${error.code}`));
        };
        if (name === 'unary') client.makeUnaryRequest(path, bytes, String, 'x', metadata, done);
        else if (name === 'client') client.makeClientStreamRequest(path, bytes, String, metadata, done).end('x');
        else if (name === 'server') streaming(client.makeServerStreamRequest(path, bytes, String, 'x', metadata));
        else {
          const stream = client.makeBidiStreamRequest(path, bytes, String, metadata);
          streaming(stream);
          stream.end('x');
        }
      });
    };
    for (const name of ['unary', 'client', 'server', 'bidi'] as const) {
      expect([name, await call(name, token())]).toEqual([name, 'ada ada 0']);
      expect([name, await call(name, undefined)]).toEqual([name, 'error 16']);
    }
  });
});

describe('requirements', () => {
  const [node] = SERVED.filter(({ name }) => name === 'node:http');
  const statuses = async (more: string): Promise<(number | undefined)[]> => {
    const { mesh, close } = await openCarrier('embedded', serviceYaml('reviews') + policy(INLINE, more));
    opened.push(close);
    const server = await node?.start(mesh, 'reviews', opened);
    const asked = [{}, bearer(token()), bearer(token({ exp: 1 }))];
    return Promise.all(asked.map(async (headers) => (await server?.ask(headers))?.status));
  };

  test('optional takes requests without a token, and none with one that is not good', async () => {
    expect(await statuses(', jwtRequirement: optional')).toEqual([200, 200, 401]);
  });

  test('any takes whatever comes', async () => {
    expect(await statuses(', jwtRequirement: any')).toEqual([200, 200, 200]);
  });

  test('claims count where limits are by caller', async () => {
    const limits = `---
apiVersion: inmesh.dev/v1alpha1
kind: RateLimitPolicy
metadata: { name: users }
spec:
  side: server
  targetRefs: [{ group: "", kind: Service, name: reviews }]
  limits: [{ name: user, key: [{ claim: sub }], limit: { requests: 1, per: 1h } }]
`;
    const { mesh, close } = await openCarrier('embedded', serviceYaml('reviews') + policy(INLINE) + limits);
    opened.push(close);
    const server = await node?.start(mesh, 'reviews', opened);
    const ask = async (sub: string): Promise<number | undefined> => (await server?.ask(bearer(token({ sub }))))?.status;
    expect([await ask('ada'), await ask('ada'), await ask('bob')]).toEqual([200, 429, 200]);
  });
});

describe('keys at a URL', () => {
  const [node] = SERVED.filter(({ name }) => name === 'node:http');

  test('are fetched by the mesh, once for many requests', async () => {
    const { url, served } = await issuer();
    const { mesh, close } = await openCarrier('embedded', serviceYaml('reviews') + policy(`jwksUri: "${url}"`));
    opened.push(close);
    const server = await node?.start(mesh, 'reviews', opened);
    const all = await Promise.all(Array.from({ length: 20 }, () => server?.ask(bearer(token()))));
    expect(all.map((it) => it?.status)).toEqual(Array(20).fill(200));
    expect(served.fetches).toBe(1);
  });

  test('that cannot be fetched let nobody in, and the caller is told that it is not the token', async () => {
    const { url, served } = await issuer();
    served.down = true;
    const { mesh, close } = await openCarrier('embedded', serviceYaml('reviews') + policy(`jwksUri: "${url}"`));
    opened.push(close);
    const server = await node?.start(mesh, 'reviews', opened);
    expect(await server?.ask(bearer(token()))).toEqual({ status: 503, challenge: undefined });
    expect((await server?.ask())?.status).toBe(401);
  });
});
