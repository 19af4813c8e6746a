import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { redactedUrl, serverName } from '../../src/observability/semantics.js';
import { aCall } from '../support/calls.js';

describe('serverName', () => {
  test.each([
    ['reviews', 'http', 'reviews', 80],
    ['reviews', 'https', 'reviews', 443],
    ['reviews:8080', 'https', 'reviews', 8080],
    ['reviews.default.svc.cluster.local:80', 'http', 'reviews.default.svc.cluster.local', 80],
    ['10.0.0.7:9001', 'http', '10.0.0.7', 9001],
    ['[::1]:9001', 'http', '::1', 9001],
    ['[::1]', 'http', '::1', 80],
    ['::1', 'http', '::1', 80],
    ['', 'http', '', 80],
  ])('%j over %s is %j, %d', (authority, scheme, address, port) => {
    expect(serverName(authority, scheme)).toEqual({ address, port });
  });

  test('never throws', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (authority) => {
        expect(serverName(authority, 'http').port).not.toBeNaN();
      }),
    );
  });
});

describe('redactedUrl', () => {
  const secrets = [
    'X-Amz-Signature',
    'X-Amz-Credential',
    'X-Amz-Security-Token',
    'AWSAccessKeyId',
    'Signature',
    'sig',
    'X-Goog-Signature',
  ];

  test.each(secrets)('hides the value of %s and keeps its key', (key) => {
    expect(redactedUrl(aCall({ path: `/a?x=1&${key}=secret&y=2` }))).toBe(`http://reviews/a?x=1&${key}=REDACTED&y=2`);
  });

  test('matches keys by case, as the conventions ask', () => {
    expect(redactedUrl(aCall({ path: '/?SIG=1' }))).toBe('http://reviews/?SIG=1');
  });

  test('a value never shows, wherever its parameter stands', () => {
    const parameter = fc.stringMatching(/^[a-z]{1,5}=[a-z0-9]{0,5}$/);
    fc.assert(
      fc.property(fc.array(parameter), fc.constantFrom(...secrets), fc.array(parameter), (before, key, after) => {
        const path = `/?${[...before, `${key}=TOPSECRET`, ...after].join('&')}`;
        expect(redactedUrl(aCall({ path }))).not.toContain('TOPSECRET');
      }),
    );
  });

  test('never throws', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), fc.string({ unit: 'binary' }), (authority, path) => {
        redactedUrl(aCall({ authority, path: `/?${path}` }));
      }),
    );
  });
});
