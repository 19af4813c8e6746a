import { createServer } from 'node:http';
import { connect as connectHttp2 } from 'node:http2';
import * as grpc from '@grpc/grpc-js';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { MeshEvent, Meter } from '../../src/core/meter.js';
import { addressKey, type Address } from '../../src/core/model/endpoint.js';
import { systemRandom } from '../../src/core/random.js';
import type { ServerConfigWatcher } from '../../src/core/server-config.js';
import type { MemoryIdentity } from '../../src/identity/sources/memory.js';
import { meshServerInterceptor } from '../../src/server/grpc.js';
import type { ServerParts } from '../../src/server/parts.js';
import type { SecuredServer, SecureOptions } from '../../src/server/tls/secure-options.js';
import { secureAny } from '../../src/server/tls/secure.js';
import { XdsServer } from '../../src/server/xds/grpc-server.js';
import type { TestMesh } from '../../src/testing/index.js';
import { FakeClock } from '../support/fake-clock.js';
import { askGrpc, MUTUAL, stateOf, type TestClient } from '../support/mtls.js';
import { testCa, type TestCa } from '../support/pki.js';
import { grpcMethod } from '../support/server-faces.js';
import { securedMesh } from './secured-mesh.js';
import { chain, listener } from './xds/support.js';

/** grpc-js's own Server behind mesh.secure. */

let ca: TestCa;
let identity: MemoryIdentity;
let mesh: TestMesh;
let parts: ServerParts;
let clock: FakeClock;
let meter: Meter;
let events: readonly MeshEvent[];
let changed: ServerConfigWatcher['changed'];
let closing: (() => unknown)[];
let close: () => Promise<void>;

beforeEach(() => {
  clock = new FakeClock(1_000, Date.now());
  // The first moment of those at which connections may be told to go.
  const random = { ...systemRandom, next: () => 0 };
  ({ ca, identity, mesh, parts, meter, events, changed, closing, close } = securedMesh({ clock, random }));
});
afterEach(() => close());

const caller = (): Buffer => Buffer.from(mesh.peer()?.spiffeId ?? 'nobody');
/** The server has a new certificate, and those who know the one before are told to go. */
async function rotate(): Promise<void> {
  identity.set(stateOf(ca, 'reviews'));
  await clock.advance(0);
}

const WEB = 'spiffe://cluster.local/ns/default/sa/web';
const web = (): TestClient => ({ ca, identity: ca.issue({ name: 'web' }) });

/** All four kinds of call; each answers who calls, a turn of the loop after it was asked. */
function makeServer(): grpc.Server {
  const server = new grpc.Server({ interceptors: [meshServerInterceptor()] });
  const later = (run: () => void): void => void setImmediate(run);
  server.addService(
    {
      get: grpcMethod('/test/Get'),
      serverStream: grpcMethod('/test/ServerStream', true),
      clientStream: grpcMethod('/test/ClientStream', false, true),
      both: grpcMethod('/test/Both', true, true),
    },
    {
      get: (_: unknown, done: grpc.sendUnaryData<Buffer>) => later(() => done(null, caller())),
      serverStream: (call: grpc.ServerWritableStream<Buffer, Buffer>) =>
        later(() => {
          call.write(caller());
          call.end();
        }),
      clientStream(call: grpc.ServerReadableStream<Buffer, Buffer>, done: grpc.sendUnaryData<Buffer>) {
        call.on('data', () => {});
        call.on('end', () => later(() => done(null, caller())));
      },
      both(call: grpc.ServerDuplexStream<Buffer, Buffer>) {
        call.on('data', () => call.write(caller()));
        call.on('end', () => call.end());
      },
    },
  );
  return server;
}

async function start(options: Omit<SecureOptions, 'address'>, server = makeServer()): Promise<SecuredServer> {
  const secured = await secureAny(server, { address: '127.0.0.1:0', ...options }, parts, meter);
  closing.push(() => server.forceShutdown());
  return secured;
}

const at = (secured: SecuredServer): Address => secured.address as Address;

function clientOf(address: Address, { ca: trusted, identity: own }: TestClient): grpc.Client {
  const credentials = grpc.credentials.createSsl(
    Buffer.from(trusted.root),
    own === undefined ? null : Buffer.from(own.keyPem),
    own === undefined ? null : Buffer.from(own.chainPem),
    { checkServerIdentity: () => undefined },
  );
  const client = new grpc.Client(addressKey(address), credentials, { 'grpc.use_local_subchannel_pool': 1 });
  closing.push(() => client.close());
  return client;
}

const bytes = (value: Buffer): Buffer => value;

describe('a grpc-js Server behind mesh.secure', () => {
  test('its handlers know who calls, in all four kinds of call', async () => {
    const client = clientOf(at(await start({ mode: 'strict' })), web());
    const heard: string[] = [];
    const reply = (resolve: () => void) => (_: unknown, text?: string) => {
      heard.push(text ?? 'none');
      resolve();
    };
    const ended = (call: grpc.ClientReadableStream<string>, resolve: () => void): void => {
      call.on('data', (text: string) => heard.push(text));
      call.on('error', () => heard.push('failed'));
      call.on('end', resolve);
    };
    await new Promise<void>((resolve) => {
      client.makeUnaryRequest('/test/Get', bytes, String, Buffer.alloc(0), reply(resolve));
    });
    await new Promise<void>((resolve) => {
      ended(client.makeServerStreamRequest('/test/ServerStream', bytes, String, Buffer.alloc(0)), resolve);
    });
    await new Promise<void>((resolve) => {
      const call = client.makeClientStreamRequest('/test/ClientStream', bytes, String, reply(resolve));
      call.end(Buffer.alloc(1));
    });
    await new Promise<void>((resolve) => {
      const call = client.makeBidiStreamRequest('/test/Both', bytes, String);
      ended(call, resolve);
      call.end(Buffer.alloc(1));
    });
    expect(heard).toEqual([WEB, WEB, WEB, WEB]);
  });

  test('strict: who shows no certificate, one that nobody vouches for, or speaks plain text is refused, and the reason is counted', async () => {
    const address = at(await start({ mode: 'strict' }));
    await expect(askGrpc(address, { ca, identity: undefined })).rejects.toThrow();
    await expect(
      askGrpc(address, { ca, identity: testCa({ name: 'Other' }).issue({ name: 'web' }) }),
    ).rejects.toThrow();
    await expect(askGrpc(address, undefined)).rejects.toThrow();
    expect(events.map((event) => event.kind === 'tls:refused' && event.reason)).toEqual([
      'no_certificate',
      expect.stringMatching(/untrusted|wrong_trust_domain/),
      'plaintext',
    ]);
  });

  test('permissive: both are served, and one of them is known', async () => {
    const address = at(await start({ mode: 'permissive' }));
    expect(await askGrpc(address, undefined)).toEqual([0, 'nobody']);
    expect(await askGrpc(address, web())).toEqual([0, WEB]);
  });

  test('without a mode connections wait for what the configuration says of the service, and go by it when that changes', async () => {
    const secured = await start({});
    const asked = askGrpc(at(secured), web());
    asked.catch(() => {});
    expect(secured.mode).toBeUndefined();
    const tell = (tls: boolean): void =>
      changed({
        listener: listener(at(secured), {
          filterChains: tls ? [chain('mtls', { tls: true }, { tls: MUTUAL })] : [chain('plain')],
          defaultFilterChain: undefined,
        }),
        routes: new Map(),
      });
    tell(true);
    expect(await asked).toEqual([0, WEB]);
    await expect(askGrpc(at(secured), undefined)).rejects.toThrow();
    tell(false);
    expect(await askGrpc(at(secured), undefined)).toEqual([0, 'nobody']);
  });

  test('a new certificate tells clients to go, and no call of theirs fails', async () => {
    const address = at(await start({ mode: 'strict' }));
    const client = clientOf(address, web());
    const unary = () =>
      new Promise<string>((resolve, reject) => {
        client.makeUnaryRequest('/test/Get', bytes, String, Buffer.alloc(0), (error, text) =>
          error === null ? resolve(text as string) : reject(error),
        );
      });
    const held = client.makeBidiStreamRequest('/test/Both', bytes, String);
    const said: string[] = [];
    const ended = new Promise<grpc.StatusObject>((resolve) => held.on('status', resolve));
    const first = new Promise<void>((resolve) => {
      held.on('data', (text: string) => {
        said.push(text);
        resolve();
      });
    });
    held.on('error', () => {});
    held.write(Buffer.alloc(1));
    await first;
    for (let i = 0; i < 5; i++) {
      const calls = Promise.all([unary(), unary()]);
      await rotate();
      expect(await calls).toEqual([WEB, WEB]);
    }
    // It goes on by the connection that it began on.
    held.end(Buffer.alloc(1));
    expect((await ended).code).toBe(grpc.status.OK);
    expect(said).toEqual([WEB, WEB]);
  });

  test('that is shut down gives its port back, and has its own methods again', async () => {
    const server = makeServer();
    const { address } = await start({ mode: 'strict' }, server);
    expect(await askGrpc(address as Address, web())).toEqual([0, WEB]);
    await new Promise<void>((resolve, reject) =>
      server.tryShutdown((error) => (error === undefined ? resolve() : reject(error))),
    );
    expect(Object.hasOwn(server, 'tryShutdown')).toBe(false);
    const other = createServer();
    await new Promise<void>((resolve, reject) => {
      other.once('error', reject);
      other.listen((address as Address).port, '127.0.0.1', resolve);
    });
    await new Promise((resolve) => other.close(resolve));
  });

  test('mesh.close ends it as well', async () => {
    const { address } = await start({ mode: 'strict' });
    await mesh.close();
    const refused = new Promise((resolve) =>
      connectHttp2(`http://${addressKey(address as Address)}`).on('error', resolve),
    );
    expect(await refused).toMatchObject({ code: 'ECONNREFUSED' });
  });

  test.each([
    ['no address', () => makeServer(), { mode: 'strict' }, /secure\.address: must say where to listen/],
    [
      'a name for an address',
      () => makeServer(),
      { mode: 'strict', address: 'here:80' },
      /secure\.address: must be an IP/,
    ],
    ['an XdsServer', () => new XdsServer(), { mode: 'strict', address: '127.0.0.1:0' }, /mesh\.serve\(server/],
    [
      'an address for a server that listens by itself',
      () => createServer(),
      { mode: 'strict', address: '127.0.0.1:0' },
      /listens by itself/,
    ],
  ] as const)('%s is refused, with the remedy', async (_, make, options, message) => {
    await expect(secureAny(make(), options, parts, meter)).rejects.toThrow(message);
  });

  test('a port that is taken is told of, and nothing is left behind', async () => {
    const { address } = await start({ mode: 'strict' });
    await expect(
      secureAny(makeServer(), { mode: 'strict', address: addressKey(address as Address) }, parts, meter),
    ).rejects.toThrow(/EADDRINUSE/);
  });
});
