import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as grpc from '@grpc/grpc-js';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { Trust } from '../../../src/core/identity.js';
import { silentLogger } from '../../../src/core/log.js';
import { addressKey } from '../../../src/core/model/endpoint.js';
import { type Mesh, meshClient } from '../../../src/index.js';
import { type MemoryIdentity, memoryIdentity } from '../../../src/identity/sources/memory.js';
import { startProxy } from '../../../src/proxy/index.js';
import { XdsServer } from '../../../src/grpc.js';
import { type TestCa, testCa } from '../../support/pki.js';
import { freeAddress } from '../../server/xds/support.js';

/*
 * Four workloads in one process, over real sockets: shop calls web (node:http), rpc (grpc-js) and, through the proxy edge, web again; all of it strict mutual TLS.
 * What changes, changes after so many calls, and not after some time.
 */
const CALLS = 600;
/** After so many calls every workload has another certificate. */
const ROTATE_EVERY = 30;
/** So short that a connection is drained within a tenth of a second of the change. */
const LIFETIME_MS = 200;
const SHOP = 'spiffe://cluster.local/ns/default/sa/shop';
const EDGE = 'spiffe://cluster.local/ns/default/sa/edge';
const MESSAGES = 10;

const closing: (() => unknown)[] = [];
let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'inmesh-rotation-'));
});
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
  await rm(folder, { recursive: true });
});

const bytes = {
  requestSerialize: (text: string) => Buffer.from(text),
  requestDeserialize: String,
  responseSerialize: (text: string) => Buffer.from(text),
  responseDeserialize: String,
};
const RPC = {
  who: { path: '/test.Rpc/Who', requestStream: false, responseStream: false, ...bytes },
  chat: { path: '/test.Rpc/Chat', requestStream: true, responseStream: true, ...bytes },
};

/** Roots and certificates of all workloads, from one change to the next. */
class Pki {
  #signing = testCa({ name: 'First root' });
  #trusted: readonly TestCa[] = [this.#signing];
  readonly #sources = new Map<string, MemoryIdentity>();

  source(name: string): MemoryIdentity {
    const made = memoryIdentity(this.#state(name));
    this.#sources.set(name, made);
    closing.push(() => made.close());
    return made;
  }

  rotate(): void {
    for (const [name, source] of this.#sources) source.set(this.#state(name));
  }

  /** The three steps of another root: it is believed as well; it signs; the old one is believed no more. */
  trustNext(next: TestCa): void {
    this.#trusted = [this.#signing, next];
  }
  signWith(next: TestCa): void {
    this.#signing = next;
  }
  trustOnly(next: TestCa): void {
    this.#trusted = [next];
  }

  #state(name: string) {
    const trust: Trust = {
      kind: 'spiffe',
      bundles: new Map([['cluster.local', this.#trusted.map(({ root }) => root)]]),
    };
    return { identity: this.#signing.issue({ name, notAfter: Date.now() + LIFETIME_MS }), trust };
  }
}

interface Stub {
  who(text: string, done: (error: Error | null, reply: string) => void): void;
  chat(): grpc.ClientDuplexStream<string, string>;
}

async function workloads(pki: Pki): Promise<{ shop: Mesh; stub: Stub; opened: () => number }> {
  const [web, rpc, edge] = await Promise.all([freeAddress(), freeAddress(), freeAddress()]);
  const mesh = (service: string, config: string): Mesh => {
    const made = meshClient({ service, config, identity: { source: pki.source(service) }, logger: silentLogger });
    closing.push(() => made.close());
    return made;
  };
  const service = (name: string, address: typeof web): string =>
    `{ apiVersion: v1, kind: Service, metadata: { name: ${name} }, spec: { mtls: strict, endpoints: ["${addressKey(address)}"] } }`;
  const config = join(folder, 'mesh.yaml');
  await writeFile(config, [service('web', web), service('rpc', rpc), service('edge', edge)].join('\n---\n'));
  // To the proxy the name that it is called by is that of the server behind it.
  const behind = join(folder, 'edge.yaml');
  const sans = 'tls: { mode: mutual, subjectAltNames: ["spiffe://cluster.local/ns/default/sa/web"] }';
  const policy = `{ apiVersion: inmesh.dev/v1alpha1, kind: TrafficPolicy, metadata: { name: p }, spec: { targetRefs: [{ name: edge }], ${sans} } }`;
  await writeFile(behind, [service('edge', web), policy].join('\n---\n'));

  const ofWeb = mesh('web', config);
  const http = createServer((request, response) => {
    request.resume();
    setImmediate(() => response.end(ofWeb.peer()?.spiffeId ?? 'nobody'));
  });
  let opened = 0;
  http.on('connection', () => opened++);
  await (await ofWeb.serve(http, { address: addressKey(web), service: 'web' })).ready();

  const ofRpc = mesh('rpc', config);
  const server = new XdsServer();
  const caller = (): string => ofRpc.peer()?.spiffeId ?? 'nobody';
  server.addService(RPC, {
    who: (_: unknown, done: grpc.sendUnaryData<string>) => done(null, caller()),
    chat(call: grpc.ServerDuplexStream<string, string>) {
      const who = caller();
      call.on('data', (text: string) => call.write(`${text} ${who}`));
      call.on('end', () => call.end());
    },
  });
  closing.push(() => server.forceShutdown());
  await (await ofRpc.serve(server, { address: addressKey(rpc), service: 'rpc' })).ready();

  const ofEdge = mesh('edge', behind);
  const proxy = await startProxy({
    service: ofEdge.service,
    listen: addressKey(edge),
    mtls: 'strict',
    servers: ofEdge.servers,
  });
  closing.push(() => proxy.close({ graceMs: 0 }));

  const shop = mesh('shop', config);
  await shop.ready();
  const Client = grpc.makeGenericClientConstructor(RPC, 'Rpc');
  return { shop, stub: shop.grpc(Client, 'rpc') as unknown as Stub, opened: () => opened };
}

const unary = (stub: Stub): Promise<string> =>
  new Promise((resolve, reject) =>
    stub.who('who', (error, reply) => (error === null ? resolve(reply) : reject(error))),
  );

/** A stream whose next message goes when the one before has come back, and `pause` says so. */
async function chat(stub: Stub, messages: number, pause: () => Promise<unknown>): Promise<string> {
  const call = stub.chat();
  let got = 0;
  call.write(`${got}`);
  for await (const text of call) {
    if (text !== `${got} ${SHOP}`) return `"${text}" for message ${got}`;
    if (++got === messages) call.end();
    else {
      await pause();
      call.write(`${got}`);
    }
  }
  return got === messages ? SHOP : `${got} messages of ${messages}`;
}

test('no call over fetch, gRPC or the proxy fails, and no stream ends, while certificates change all the time and the root once', async () => {
  const pki = new Pki();
  const { shop, stub, opened } = await workloads(pki);
  const next = testCa({ name: 'Second root' });
  const steps: Readonly<Record<number, () => void>> = {
    6: () => pki.trustNext(next),
    8: () => pki.signWith(next),
    14: () => pki.trustOnly(next),
  };
  let finished = 0;
  let rotations = 0;
  /** Of those that wait for some more calls to be over. */
  const waiting = new Set<() => void>();
  const over = (): void => {
    if (++finished % ROTATE_EVERY === 0) {
      steps[++rotations]?.();
      pki.rotate();
    }
    for (const wake of [...waiting]) wake();
  };
  const moreCalls = (count: number): Promise<void> =>
    new Promise((resolve) => {
      const until = Math.min(finished + count, CALLS);
      const wake = (): void => {
        if (finished < until) return;
        waiting.delete(wake);
        resolve();
      };
      waiting.add(wake);
      wake();
    });
  const failures: string[] = [];
  const expecting = async (kind: string, expected: string, call: Promise<string>): Promise<void> => {
    const said = await call.catch((error: Error) => `${error.message} ${String(error.cause ?? '')}`);
    if (said !== expected) failures.push(`${kind}: ${said}`);
  };
  const text = async (url: string): Promise<string> => (await shop.fetch(url)).text();
  const kinds: readonly (() => Promise<void>)[] = [
    () => expecting('fetch', SHOP, text('http://web/')),
    () => expecting('unary', SHOP, unary(stub)),
    () => expecting('proxy', EDGE, text('http://edge/')),
    () =>
      expecting(
        'chat',
        SHOP,
        chat(stub, MESSAGES, () => Promise.resolve()),
      ),
  ];
  const lanes = [...kinds, ...kinds, ...kinds].map(async (call) => {
    while (finished < CALLS) {
      await call();
      over();
    }
  });
  // Open over several changes of all certificates, on a connection that is drained meanwhile; not over the end of the root that vouches for its two ends.
  const long = expecting(
    'long stream',
    SHOP,
    chat(stub, MESSAGES, () => moreCalls(ROTATE_EVERY / 2)),
  );
  await Promise.all([...lanes, long]);
  expect(failures).toEqual([]);
  expect(rotations).toBeGreaterThanOrEqual(CALLS / ROTATE_EVERY);
  // HTTP/1.1 to one server: from each of two clients there are three calls at once, and a change of either side drains what each has, once.
  expect(opened()).toBeLessThanOrEqual(6 * (2 * rotations + 1));
});
