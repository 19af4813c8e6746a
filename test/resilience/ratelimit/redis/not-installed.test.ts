import { expect, it, vi } from 'vitest';
import { perYear, REF, storesOf } from './support.js';

vi.mock('ioredis', () => {
  throw new Error("Cannot find package 'ioredis'");
});

it('without the package ioredis a take fails, and says what to install', async () => {
  const store = storesOf('redis://127.0.0.1:1').open(REF);
  await expect(store.take('k', perYear(1), 1)).rejects.toThrow(
    'redis "default" (127.0.0.1:1): not connected: limits in Redis need the package ioredis, which is not installed: npm install ioredis',
  );
  await store.close();
});
