import { afterEach, describe, expect, test } from 'vitest';
import { RpcConnection, RpcError, type RpcOptions } from '../../../src/identity/rpc/connection.js';
import { FakeClock } from '../../support/fake-clock.js';

const open: RpcConnection[] = [];
afterEach(() => {
  for (const connection of open.splice(0)) connection.close();
});

function connectionWith(options: Partial<RpcOptions> = {}) {
  const clock = new FakeClock();
  const connection = new RpcConnection({ target: '127.0.0.1:1', clock, ...options });
  open.push(connection);
  return { clock, connection };
}

/** How a stream ended. */
const endOf = (connection: RpcConnection): Promise<RpcError | undefined> =>
  new Promise((ended) => connection.serverStream('/a/b', new Uint8Array(), { message() {}, ended }));

const SECRET = { authorization: 'Bearer SECRET\u00e9' };

describe('a call', () => {
  test('with metadata that no header may have is refused without showing it, and leaves no timer behind', async () => {
    const { clock, connection } = connectionWith();
    const error = await connection.unary('/a/b', new Uint8Array(), 30_000, SECRET).catch((thrown: Error) => thrown);
    expect(error).toBeInstanceOf(RpcError);
    expect((error as Error).message).toMatch(/metadata "authorization" has a character/);
    expect(`${(error as Error).stack} ${String((error as Error).cause)}`).not.toMatch(/SECRET/);
    expect(clock.pending).toBe(0);
    await clock.advance(60_000);
  });

  test('with credentials that cannot be made is refused, and leaves no timer behind', async () => {
    const credentials = (): never => {
      throw new Error('no such root');
    };
    const { clock, connection } = connectionWith({ credentials });
    await expect(connection.unary('/a/b', new Uint8Array(), 30_000)).rejects.toThrow('no such root');
    expect(clock.pending).toBe(0);
  });
});

describe('a stream', () => {
  test('with metadata that no header may have ends without showing it', async () => {
    const { connection } = connectionWith({ metadata: SECRET });
    const error = await endOf(connection);
    expect(error?.message).toMatch(/metadata "authorization" has a character/);
    expect(error?.stack).not.toMatch(/SECRET/);
  });

  test('with credentials that cannot be made ends, and the process goes on', async () => {
    const credentials = (): never => {
      throw new Error('no such root');
    };
    const { connection } = connectionWith({ credentials });
    expect(await endOf(connection)).toMatchObject({ message: expect.stringMatching(/no such root/) as string });
  });
});
