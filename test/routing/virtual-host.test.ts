import { describe, expect, test } from 'vitest';
import { chooseVirtualHost } from '../../src/routing/virtual-host.js';

const hosts = [
  { name: 'all', domains: ['*'] },
  { name: 'short prefix', domains: ['www.*'] },
  { name: 'long prefix', domains: ['www.foo.*'] },
  { name: 'short suffix', domains: ['*.com'] },
  { name: 'long suffix', domains: ['*.foo.com', '*-bar.foo.com'] },
  { name: 'exact', domains: ['www.foo.com', 'reviews:8080'] },
];
const choose = (host: string, ignorePort = false, from: typeof hosts = hosts) =>
  chooseVirtualHost(from, host, ignorePort)?.name;

describe('the virtual host for an authority', () => {
  test.each([
    ['www.foo.com', 'exact'],
    ['WWW.Foo.COM', 'exact'],
    ['api.foo.com', 'long suffix'],
    ['baz-bar.foo.com', 'long suffix'],
    ['www.bar.com', 'short suffix'],
    ['www.foo.org', 'long prefix'],
    ['www.bar.org', 'short prefix'],
    ['reviews', 'all'],
    ['reviews:8080', 'exact'],
  ])('%s is %s', (host, name) => {
    expect(choose(host)).toBe(name);
  });

  test('a wildcard does not stand for nothing', () => {
    expect(choose('.com', false, [{ name: 'suffix', domains: ['*.com'] }])).toBeUndefined();
    expect(choose('www.', false, [{ name: 'prefix', domains: ['www.*'] }])).toBeUndefined();
  });

  test('the port counts, unless it is to be ignored', () => {
    const plain = [{ name: 'plain', domains: ['reviews', '[::1]', '::1'] }];
    expect(choose('reviews:80', false, plain)).toBeUndefined();
    for (const host of ['reviews:80', 'reviews', '[::1]:80', '[::1]', '::1'])
      expect(choose(host, true, plain)).toBe('plain');
  });

  test('none when none matches', () => {
    expect(choose('reviews', false, [])).toBeUndefined();
  });
});
