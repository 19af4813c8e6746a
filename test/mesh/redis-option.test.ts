import { afterEach, expect, it, vi } from 'vitest';
import { meshClient } from '../../src/index.js';

afterEach(() => vi.unstubAllEnvs());

it('the Redis servers of limits are checked when the mesh is made, by the path of the option', () => {
  expect(() => meshClient({ redis: { counters: 'http://a' } })).toThrow(
    'options.redis.counters: must begin with redis:// or rediss://, got http://',
  );
  expect(() => meshClient({ redis: { counters: { url: 'redis://a', pasword: 'x' } as never } })).toThrow(
    'options.redis.counters.pasword: unknown field; did you mean "password"?',
  );
});

it('INMESH_REDIS_URL is checked as well, and its password is not shown', () => {
  vi.stubEnv('INMESH_REDIS_URL', 'redis://user:secret@host/x');
  expect(() => meshClient()).toThrow('INMESH_REDIS_URL: after the host comes the number of a database, got "x"');
});

it('a Redis that no rule names is not connected to, and keeps nothing open', async () => {
  const mesh = meshClient({ services: { a: ['127.0.0.1:1'] }, redis: { default: 'redis://127.0.0.1:1' } });
  await mesh.ready();
  await mesh.close();
});
