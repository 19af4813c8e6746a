import { describe, expect, it } from 'vitest';
import { describeTarget, redisTarget, redisTargets } from '../../../../src/resilience/ratelimit/redis/options.js';

describe('where a Redis is', () => {
  it('a URL says everything: host, port, user, password, database and TLS', () => {
    expect(redisTarget('rediss://me:p%40ss@redis.example:6380/3', 'options.redis.a')).toEqual({
      kind: 'servers',
      mode: 'single',
      nodes: [{ host: 'redis.example', port: 6380 }],
      sentinel: undefined,
      username: 'me',
      password: 'p@ss',
      db: 3,
      tls: {},
      prefix: 'inmesh:',
      connectTimeoutMs: 2_000,
    });
  });

  it('a URL without a port means 6379, one with an address of IPv6 that address', () => {
    expect(redisTarget('redis://[::1]', 'r')).toMatchObject({ nodes: [{ host: '::1', port: 6379 }], tls: undefined });
  });

  it('several URLs are the first nodes of a cluster, or sentinels where those are named', () => {
    const urls = ['redis://a:1', 'redis://b:2'];
    expect(redisTarget(urls, 'r')).toMatchObject({ mode: 'cluster' });
    expect(redisTarget({ urls, sentinel: 'main' }, 'r')).toMatchObject({ mode: 'sentinel', sentinel: 'main' });
  });

  it('options go before what the URL says', () => {
    const target = redisTarget({ url: 'redis://u:p@a/1', username: 'v', password: 'q', db: 2, prefix: 'x:' }, 'r');
    expect(target).toMatchObject({ username: 'v', password: 'q', db: 2, prefix: 'x:' });
  });

  it('a client of the application is taken as it is', () => {
    const client = { evalsha: () => Promise.resolve(), eval: () => Promise.resolve() };
    expect(redisTarget(client, 'r')).toEqual({ kind: 'client', client, prefix: 'inmesh:' });
  });

  it('INMESH_REDIS_URL is the one called default, unless the application gives it', () => {
    expect(redisTargets(undefined, 'options.redis', 'redis://env')).toMatchObject({
      default: { nodes: [{ host: 'env' }] },
    });
    const both = redisTargets({ default: 'redis://app', other: 'redis://b' }, 'options.redis', 'redis://env');
    expect(both).toMatchObject({ default: { nodes: [{ host: 'app' }] }, other: { nodes: [{ host: 'b' }] } });
    expect(redisTargets(undefined, 'options.redis', '')).toEqual({});
  });

  it('what is shown of it holds no password', () => {
    expect(describeTarget(redisTarget(['redis://u:secret@a:1', 'redis://[::1]:2'], 'r'))).toBe('a:1,[::1]:2');
  });

  it.each([
    ['http://a', 'r: must begin with redis:// or rediss://, got http://'],
    ['secret', 'r: is no URL: must be redis://host:port or rediss://host:port'],
    ['redis://u:secret@', 'r: is no URL: must be redis://host:port or rediss://host:port'],
    ['redis://a/b', 'r: after the host comes the number of a database, got "b"'],
    ['redis://a?x=1', 'r: has a query: give options instead'],
    ['redis://%ff:x@a', 'r: has a user or password that is not percent-encoded'],
    [[], 'r: must be a list of URLs, at least one, got []'],
    [['redis://a', 'rediss://b'], 'r: must be all redis:// or all rediss://'],
    [['redis://a/1'], 'r.db: a cluster has only database 0, got 1'],
    [{}, 'r: give either url, of one server, or urls, of the first nodes of a cluster'],
    [
      { url: 'redis://a', urls: ['redis://a'] },
      'r: give either url, of one server, or urls, of the first nodes of a cluster',
    ],
    [{ url: 'http://a' }, 'r.url: must begin with redis:// or rediss://, got http://'],
    [{ urls: ['redis://a', 'b'] }, 'r.urls[1]: is no URL: must be redis://host:port or rediss://host:port'],
    [{ url: 'redis://a', sentinel: 'm' }, 'r.sentinel: needs urls: those of the sentinels'],
    [{ url: 'redis://a', pasword: 'x' }, 'r.pasword: unknown field; did you mean "password"?'],
    [{ url: 'redis://a', db: 1.5 }, 'r.db: must be a whole number, got 1.5'],
    [{ url: 'redis://a', connectTimeoutMs: 5 }, 'r.connectTimeoutMs: must be a number from 10 to 60000, got 5'],
    [{ url: 'redis://a', tls: { ca: 1 } }, 'r.tls.ca: must be PEM, as a string or bytes'],
    [{ url: 'redis://a', tls: { cert: 'x' } }, 'r.tls: give cert and key together'],
    [5, 'r: must be an object, got 5'],
  ])('%j is refused: %s', (option, message) => {
    expect(() => redisTarget(option, 'r')).toThrow(message);
  });

  it('no message shows a password', () => {
    for (const url of ['redis://u:secret@a/b', 'http://u:secret@a', 'redis://u:secret@a?x', 'redis://u:secret@']) {
      try {
        redisTarget(url, 'r');
        expect.unreachable();
      } catch (error) {
        expect(String(error)).not.toContain('secret');
      }
    }
  });
});
