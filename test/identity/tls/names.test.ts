import { once } from 'node:events';
import { type AddressInfo, connect, createServer } from 'node:net';
import { afterEach, describe, expect, test } from 'vitest';
import type { UpstreamTls } from '../../../src/core/model/tls.js';
import { testCa } from '../../support/pki.js';
import { dialTls, echoes, MUTUAL, STRICT, stateOf, TlsEcho, workload } from '../../support/tls-peers.js';

const ca = testCa();
const cleanUp: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of cleanUp.splice(0).reverse()) await end();
});

async function dial(config: UpstreamTls, host: string) {
  const server = await TlsEcho.start(workload(stateOf(ca.issue({ name: 'reviews' }), ca)).tls.server(STRICT));
  const client = workload(stateOf(ca.issue(), ca)).tls.client(config, host);
  const ours = await dialTls(server.port, client);
  cleanUp.push(
    () => server.close(),
    () => ours.socket?.destroy(),
  );
  const sent = ours.socket === undefined ? undefined : (await server.last).socket?.servername;
  return { reason: ours.error?.reason, message: ours.error?.message, sent, name: client.name };
}

describe('the name that is sent, and verified', () => {
  test.each<[string, Partial<UpstreamTls>, string, { reason?: string; sent?: string | false }]>([
    ['none is configured', {}, 'reviews', { sent: false }],
    ['sni', { sni: 'reviews' }, '127.0.0.1', { sent: 'reviews' }],
    ['sni that is an address is not sent (RFC 6066)', { sni: '127.0.0.1' }, '127.0.0.1', { sent: false }],
    ['the hostname, where that is asked for (A101)', { sniFromHost: true, sni: 'x' }, 'reviews', { sent: 'reviews' }],
    ['an address is no hostname', { sniFromHost: true }, '127.0.0.1', { sent: false }],
    ['verified', { sni: 'reviews', verifySni: true }, '127.0.0.1', { sent: 'reviews' }],
    ['an address that is verified', { sni: '127.0.0.1', verifySni: true }, '127.0.0.1', { sent: false }],
    ['a wrong one', { sni: 'ratings', verifySni: true }, '127.0.0.1', { reason: 'wrong_san' }],
    ['a wrong address', { sni: '192.0.2.1', verifySni: true }, '127.0.0.1', { reason: 'wrong_san' }],
    [
      'it takes the place of the list (A101)',
      {
        sni: 'reviews',
        verifySni: true,
        sans: [{ type: 'DNS', match: { kind: 'exact', value: 'x', ignoreCase: false } }],
      },
      'h',
      { sent: 'reviews' },
    ],
  ])('%s', async (_, config, host, expected) => {
    const { reason, sent } = await dial({ ...MUTUAL, ...config }, host);
    expect({ reason, sent }).toEqual({ reason: undefined, sent: undefined, ...expected });
  });

  test('an error says whose certificate it is, and whose it must be', async () => {
    const { message } = await dial(
      {
        ...MUTUAL,
        sans: [{ type: 'URI', match: { kind: 'exact', value: 'spiffe://cluster.local/x', ignoreCase: false } }],
      },
      'reviews',
    );
    expect(message).toContain('spiffe://cluster.local/ns/default/sa/reviews');
    expect(message).toContain('must be for "spiffe://cluster.local/x"');
  });
});

test('a client that is refused is told nothing: the connection ends', async () => {
  const server = await TlsEcho.start(workload(stateOf(ca.issue({ name: 'reviews' }), ca)).tls.server(STRICT));
  cleanUp.push(() => server.close());
  const stranger = testCa();
  const client = workload({ identity: stranger.issue(), trust: ca.trust() }).tls.client(MUTUAL, 'reviews');
  const { socket, error } = await dialTls(server.port, client);
  let told = error;
  if (socket !== undefined) {
    socket.on('error', (late) => {
      told = late;
    });
    expect(await echoes(socket)).toBe(false);
  }
  expect((await server.last).error).toMatchObject({ reason: 'untrusted' });
  expect(told?.message ?? '').not.toMatch(/alert|certificate/i);
});

test('giving up closes the connection, whatever it waits for, and tells nobody', async () => {
  const mute = createServer((socket) => socket.on('error', () => {}));
  mute.listen(0, '127.0.0.1');
  await once(mute, 'listening');
  cleanUp.push(() => mute.close());
  for (const state of [undefined, stateOf(ca.issue(), ca)]) {
    const { tls } = workload(state);
    const tcp = connect((mute.address() as AddressInfo).port, '127.0.0.1');
    await once(tcp, 'connect');
    const told: string[] = [];
    const giveUp = tls.client(MUTUAL, 'reviews').secure(tcp, [], {
      secured: () => told.push('secured'),
      failed: () => told.push('failed'),
      drain: () => told.push('drain'),
    });
    await new Promise((resolve) => setImmediate(resolve));
    giveUp();
    await once(tcp, 'close');
    expect(told).toEqual([]);
  }
});
