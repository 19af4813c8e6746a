import { connect as connectTcp } from 'node:net';
import { connect as connectTls, type TLSSocket } from 'node:tls';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { MeshEvent } from '../../../src/core/meter.js';
import { noMeter } from '../../../src/core/meter.js';
import type { Address } from '../../../src/core/model/endpoint.js';
import type { FilterChain } from '../../../src/core/model/server.js';
import { ACCEPT_TIMEOUT_MS } from '../../../src/server/tls/handshakes.js';
import type { MemoryIdentity } from '../../../src/identity/sources/memory.js';
import { identityOf, MUTUAL, providersOf, SECURE_FACES, stateOf } from '../../support/mtls.js';
import { testCa, type TestCa } from '../../support/pki.js';
import { chain, freeAddress, listener, type Served, serve, until } from './support.js';

const STRICT: readonly FilterChain[] = [chain('mtls', { tls: true }, { tls: MUTUAL })];
const PERMISSIVE: readonly FilterChain[] = [...STRICT, chain('plain', { rawBuffer: true })];

let ca: TestCa;
let identity: MemoryIdentity;
let address: Address;
let served: Served | undefined;
let events: MeshEvent[];

beforeEach(async () => {
  ca = testCa();
  identity = identityOf(ca, 'reviews');
  address = await freeAddress();
  events = [];
});

afterEach(async () => {
  await served?.close();
  await identity.close();
});

async function start(server: Parameters<typeof serve>[0], chains: readonly FilterChain[]): Promise<Served> {
  const meter = { ...noMeter, event: (event: MeshEvent) => void events.push(event) };
  const now = serve(server, address, {}, { meter, providers: providersOf(identity) });
  served = now;
  await put(now, chains);
  return now;
}

async function put(now: Served, chains: readonly FilterChain[]): Promise<void> {
  now.config.changed(listener(address, { filterChains: chains, defaultFilterChain: undefined }));
  await now.serving.ready();
}

describe.each(Object.entries(SECURE_FACES))('a %s server under mutual TLS', (_, face) => {
  test('its handler knows who calls', async () => {
    await start(face.server(), STRICT);
    const [, text] = await face.ask(address, { ca, identity: ca.issue({ name: 'web' }) });
    expect(text).toBe('spiffe://cluster.local/ns/default/sa/web');
  });

  test('strict: who shows no certificate, or one that nobody vouches for, or speaks plain text gets no answer, and is counted', async () => {
    await start(face.server(), STRICT);
    await expect(face.ask(address, { ca, identity: undefined })).rejects.toThrow();
    await expect(
      face.ask(address, { ca, identity: testCa({ name: 'Other root' }).issue({ name: 'web' }) }),
    ).rejects.toThrow();
    await expect(face.ask(address, undefined)).rejects.toThrow();
    expect(events.map((event) => 'reason' in event && event.reason)).toEqual([
      'no_certificate',
      expect.stringMatching(/untrusted|wrong_trust_domain/),
      'plaintext',
    ]);
  });

  test('permissive: both are served, and only one is known', async () => {
    await start(face.server(), PERMISSIVE);
    expect((await face.ask(address, undefined))[1]).toBe('nobody');
    expect((await face.ask(address, { ca, identity: ca.issue({ name: 'web' }) }))[1]).toMatch(/web$/);
  });

  test('a chain with TLS for any transport protocol needs no look', async () => {
    await start(face.server(), [chain('any', {}, { tls: MUTUAL })]);
    expect((await face.ask(address, { ca, identity: ca.issue({ name: 'web' }) }))[1]).toMatch(/web$/);
    await expect(face.ask(address, undefined)).rejects.toThrow();
  });

  test('new connections meet the certificate of now', async () => {
    await start(face.server(), STRICT);
    const client = { ca, identity: ca.issue({ name: 'web' }) };
    await face.ask(address, client);
    const next = testCa();
    identity.set(stateOf(next, 'reviews'));
    await expect(face.ask(address, client)).rejects.toThrow();
    expect((await face.ask(address, { ca: next, identity: next.issue({ name: 'web' }) }))[0]).toBeLessThan(201);
  });

  test('a listener that becomes strict takes plain text no more', async () => {
    const now = await start(face.server(), PERMISSIVE);
    expect((await face.ask(address, undefined))[1]).toBe('nobody');
    await put(now, STRICT);
    await expect(face.ask(address, undefined)).rejects.toThrow();
  });
});

test('clients that say nothing, or never end their handshake, are cut off in time', async () => {
  const face = SECURE_FACES['node:http'] as (typeof SECURE_FACES)[string];
  const now = await start(face.server(), PERMISSIVE);
  const silent = connectTcp(address.port, address.host);
  const half = connectTcp(address.port, address.host, () => half.write(Buffer.from([22, 3, 1, 0, 200])));
  const gone = [silent, half].map((socket) => {
    socket.on('error', () => {});
    socket.resume();
    return new Promise((resolve) => socket.once('close', resolve));
  });
  await until(() => now.serving.connections === 2 && now.clock.pending >= 2);
  now.clock.advance(ACCEPT_TIMEOUT_MS);
  await Promise.all(gone);
  await until(() => now.serving.connections === 0);
  expect(events.filter(({ kind }) => kind === 'tls:refused').length).toBe(2);
});

test('revocation ends a connection that is open', async () => {
  const face = SECURE_FACES['node:http'] as (typeof SECURE_FACES)[string];
  await start(face.server(), STRICT);
  const web = ca.issue({ name: 'web' });
  const socket: TLSSocket = connectTls({
    ...address,
    ca: ca.root,
    cert: web.chainPem,
    key: web.keyPem,
    checkServerIdentity: () => undefined,
  });
  socket.on('error', () => {});
  const head = new Promise((resolve) => socket.once('data', resolve));
  socket.write('GET / HTTP/1.1\r\nhost: reviews\r\n\r\n');
  await head;
  const closed = new Promise((resolve) => socket.once('close', resolve));
  identity.set({ ...stateOf(ca, 'reviews'), crls: [ca.crl([web.serial])] });
  await closed;
});
