import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { parseHostPort } from '../../../src/controlplane/yaml/host-port.js';

describe('host and port', () => {
  test.each([
    ['127.0.0.1:9001', '127.0.0.1', 9001],
    ['127.0.0.1', '127.0.0.1', undefined],
    ['[::1]:9001', '::1', 9001],
    ['[::1]', '::1', undefined],
    ['::1', '::1', undefined],
    ['Reviews.Example.com:443', 'reviews.example.com', 443],
    ['my_compose_service:80', 'my_compose_service', 80],
  ])('%s', (text, host, port) => {
    expect(parseHostPort(text)).toEqual({ host, port });
  });

  test.each([
    '',
    ':80',
    'a:',
    'a:0',
    'a:65536',
    'a:99999',
    '1.2.3:80',
    '1.2.3.4.5',
    '[::1',
    '[1.2.3.4]:80',
    'a b:80',
    'a/b',
    'http://a:80',
    'a:80:90',
    '-a',
    'a.:80',
    '[::1]x:80',
    '[zz]:1',
  ])('%j is refused', (text) => {
    expect(parseHostPort(text)).toBeUndefined();
  });

  test('any text is read or refused, never more', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 80 }), (text) => {
        const found = parseHostPort(text);
        if (found?.port !== undefined) expect(found.port).toBeGreaterThan(0);
      }),
    );
  });
});
