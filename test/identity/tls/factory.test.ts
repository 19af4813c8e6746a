import { once } from 'node:events';
import { type AddressInfo, connect, createServer } from 'node:net';
import { afterEach, describe, expect, test } from 'vitest';
import { memoryIdentity } from '../../../src/identity/sources/memory.js';
import { MUTUAL, STRICT } from '../../support/tls-peers.js';
import { testTls } from '../../support/tls.js';

const cleanUp: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of cleanUp.splice(0).reverse()) await end();
});

async function tcpSocket() {
  const server = createServer(() => {}).listen(0, '127.0.0.1');
  await once(server, 'listening');
  cleanUp.push(() => new Promise((resolve) => server.close(resolve)));
  const tcp = connect((server.address() as AddressInfo).port, '127.0.0.1');
  await once(tcp, 'connect');
  return tcp;
}

describe('a connection whose source of identity is closed', () => {
  test.each(['client', 'server'] as const)('fails, and the process goes on: %s', async (side) => {
    const source = memoryIdentity();
    await source.close();
    const tls = testTls({ providers: { get: () => source } });
    cleanUp.push(() => tls.close());
    const secured = side === 'client' ? tls.client(MUTUAL, 'reviews') : tls.server(STRICT);
    // The first has the engine loaded, the second finds it there.
    for (let i = 0; i < 2; i++) {
      const tcp = await tcpSocket();
      const failures: Error[] = [];
      let giveUp: (() => void) | undefined;
      const error = await new Promise<Error>((resolve) => {
        giveUp = secured.secure(tcp, ['h2'], {
          secured: () => resolve(new Error('it was secured')),
          failed: (why) => {
            failures.push(why);
            resolve(why);
          },
          drain() {},
        });
      });
      expect(error.message).toMatch(/closed/);
      expect(tcp.destroyed).toBe(true);
      giveUp?.();
      expect(failures).toHaveLength(1);
    }
  });
});
