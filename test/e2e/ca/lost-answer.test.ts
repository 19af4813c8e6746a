import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { type AddressInfo, connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { CaServer } from '../../../src/controlplane/ca/server.js';
import type { IdentityState } from '../../../src/core/identity.js';
import { silentLogger } from '../../../src/core/log.js';
import { seededRandom } from '../../../src/core/random.js';
import { caIdentity } from '../../../src/identity/sources/ca.js';
import { FakeClock } from '../../support/fake-clock.js';
import { Mailbox } from '../../support/mailbox.js';

const ID = 'spiffe://cluster.local/ns/default/sa/shop';
const listen = { host: '127.0.0.1', port: 0 };

test('a connection that is cut when the CA has recorded the certificate costs the workload nothing but a second attempt: its token is good for its key', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'inmesh-lost-'));
  const clock = new FakeClock(0, Date.now());
  const env = { clock, random: seededRandom(1), logger: silentLogger };
  let cut = false;
  let cuts = 0;
  const ca = await CaServer.open({ directory: folder }, listen, env);
  const issue = ca.authority.issue.bind(ca.authority);
  ca.authority.issue = async (request) => {
    const issued = await issue(request);
    // It is recorded now. From here on nothing of the CA gets through, once.
    cut = cuts === 0 && request.by.startsWith('token');
    return issued;
  };
  const port = await ca.listen(listen);
  const between = createServer((socket) => {
    const onward = connect(port, '127.0.0.1');
    for (const [end, other] of [
      [socket, onward],
      [onward, socket],
    ] as const) {
      end.on('error', () => end.destroy());
      end.on('close', () => other.destroy());
    }
    socket.on('data', (bytes) => onward.write(bytes));
    onward.on('data', (bytes) => {
      if (!cut) return void socket.write(bytes);
      cut = false;
      cuts++;
      socket.destroy();
    });
  }).listen(0, '127.0.0.1');
  await once(between, 'listening');
  const { token } = await ca.tokens.create(ID);
  const source = caIdentity({
    ...{ address: `127.0.0.1:${(between.address() as AddressInfo).port}`, spiffeId: ID, token: async () => token },
    ...{ clock, random: seededRandom(1) },
  });
  try {
    const troubles = new Mailbox<Error>();
    const states = new Mailbox<IdentityState>();
    source.watch({ changed: (state) => states.put(state), failed: (error) => troubles.put(error) });
    expect((await troubles.take()) as Error).toMatchObject({ reason: 'unavailable' });
    expect(cuts).toBe(1);
    await clock.advance(2_000);
    expect((await states.take()).identity?.spiffeId).toBe(ID);
    const by: string[] = [];
    for await (const record of ca.authority.issued()) if (record.spiffeId === ID) by.push(record.by);
    expect(by).toEqual([`token ${token.split('.')[0]}`, `token ${token.split('.')[0]}`]);
  } finally {
    await source.close();
    between.close();
    await ca.close();
    await rm(folder, { recursive: true });
  }
  expect(clock.pending).toBe(0);
});
