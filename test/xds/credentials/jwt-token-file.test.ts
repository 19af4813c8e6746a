import { mkdtemp, rm, unlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { JwtTokenFile, TOKEN_REFRESH_MS, TOKEN_SKEW_MS } from '../../../src/xds/client/credentials/jwt-token-file.js';
import { settle } from '../../support/fake-clock.js';
import { environment, jwt } from './support.js';

const UNAVAILABLE = 14;
const UNAUTHENTICATED = 16;
const HOUR_MS = 3_600_000;

let folder: string;
let file: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'inmesh-jwt-'));
});
afterAll(() => rm(folder, { recursive: true }));
beforeEach((context) => {
  file = join(folder, `${context.task.id}.jwt`);
});

function start() {
  const env = environment();
  const tokens = new JwtTokenFile({ file, ...env });
  let serial = 0;
  return {
    ...env,
    tokens,
    /** Puts a token into the file that ends in `ms` from now. */
    write: async (ms: number, around = ''): Promise<string> => {
      const token = jwt({ exp: (env.clock.wallTime() + ms) / 1_000, jti: serial++ });
      await writeFile(file, `${token}${around}`);
      return token;
    },
    /** Waits until the read that goes on in the background has brought this token. */
    until: async (token: string): Promise<void> => {
      while ((await tokens.token()) !== token) await settle();
    },
  };
}

const failing = (code: number, message: RegExp): unknown =>
  expect.objectContaining({ name: 'TokenError', code, message: expect.stringMatching(message) });

describe('a token', () => {
  test('is read once and kept, without the white space around it', async () => {
    const { tokens, write } = start();
    const token = await write(HOUR_MS, '\n');
    expect(await Promise.all([tokens.token(), tokens.token()])).toEqual([token, token]);
    await write(HOUR_MS);
    expect(await tokens.token()).toBe(token);
  });

  test('is read anew a minute before it counts as expired, while the one at hand is still given out', async () => {
    const { tokens, write, clock, until } = start();
    const first = await write(HOUR_MS);
    await tokens.token();
    const second = await write(2 * HOUR_MS);
    await clock.advance(HOUR_MS - TOKEN_SKEW_MS - TOKEN_REFRESH_MS);
    expect(await tokens.token()).toBe(first);
    await clock.advance(1);
    // This one starts the read and does not wait for it.
    expect(await tokens.token()).toBe(first);
    await until(second);
  });

  test('counts as expired 30 s before its end: who comes then waits for the next', async () => {
    const { tokens, write, clock } = start();
    await write(HOUR_MS);
    await tokens.token();
    const second = await write(2 * HOUR_MS);
    await clock.advance(HOUR_MS - TOKEN_SKEW_MS);
    expect(await Promise.all([tokens.token(), tokens.token()])).toEqual([second, second]);
  });

  test('that is expired when it is read goes to those who waited, and is read again for the next', async () => {
    const { tokens, write } = start();
    const old = await write(-HOUR_MS);
    expect(await tokens.token()).toBe(old);
    const fresh = await write(HOUR_MS);
    expect(await tokens.token()).toBe(fresh);
  });
});

describe('a read that fails', () => {
  test('for want of the file is UNAVAILABLE to all who wait', async () => {
    const { tokens, logger } = start();
    const [a, b] = await Promise.allSettled([tokens.token(), tokens.token()]);
    expect(a).toEqual({ status: 'rejected', reason: failing(UNAVAILABLE, /cannot be read: ENOENT/) });
    expect(b).toEqual(a);
    expect(logger.warnings).toHaveLength(1);
  });

  test('for want of a JWT with an expiry is UNAUTHENTICATED', async () => {
    await writeFile(file, 'no token');
    await expect(start().tokens.token()).rejects.toEqual(failing(UNAUTHENTICATED, /must hold a JWT with "exp"/));
  });

  test('is not repeated before the backoff is over: its status stands until then', async () => {
    const { tokens, write, clock } = start();
    await expect(tokens.token()).rejects.toEqual(failing(UNAVAILABLE, /ENOENT/));
    const token = await write(HOUR_MS);
    // 1 s less 20 %
    await clock.advance(799);
    await expect(tokens.token()).rejects.toEqual(failing(UNAVAILABLE, /ENOENT/));
    // 1 s and 20 %
    await clock.advance(402);
    expect(await tokens.token()).toBe(token);
  });

  test('is repeated later each time, up to two minutes, and soon again after a success', async () => {
    const { tokens, write, clock, logger } = start();
    for (let failures = 1; failures <= 15; failures++) {
      await expect(tokens.token()).rejects.toEqual(failing(UNAVAILABLE, /ENOENT/));
      const ceiling = Math.min(1_000 * 1.6 ** (failures - 1), 120_000);
      const wait = logger.warnings[failures - 1]?.fields['retryInMs'] as number;
      expect(wait).toBeGreaterThanOrEqual(Math.floor(0.8 * ceiling));
      expect(wait).toBeLessThanOrEqual(Math.ceil(1.2 * ceiling));
      await clock.advance(wait + 1);
    }
    await write(0);
    await tokens.token();
    await unlink(file);
    await expect(tokens.token()).rejects.toEqual(failing(UNAVAILABLE, /ENOENT/));
    expect(logger.warnings.at(-1)?.fields['retryInMs']).toBeLessThanOrEqual(1_200);
  });

  test('ahead of time disturbs nobody: the token at hand is given out until it expires', async () => {
    const { tokens, write, clock, logger } = start();
    const token = await write(HOUR_MS);
    await tokens.token();
    await unlink(file);
    await clock.advance(HOUR_MS - TOKEN_SKEW_MS - 1);
    while (logger.warnings.length === 0) {
      expect(await tokens.token()).toBe(token);
      await settle();
    }
    expect(await tokens.token()).toBe(token);
    await clock.advance(1);
    await expect(tokens.token()).rejects.toEqual(failing(UNAVAILABLE, /ENOENT/));
    expect(clock.pending).toBe(0);
  });
});
