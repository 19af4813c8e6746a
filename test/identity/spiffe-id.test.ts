import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { DecodeError } from '../../src/core/decode.js';
import { parseSpiffeId, parseTrustDomain, parseWorkloadId, spiffeIdOf } from '../../src/identity/spiffe-id.js';

describe('SPIFFE IDs', () => {
  test.each([
    ['spiffe://cluster.local/ns/default/sa/web', 'cluster.local', '/ns/default/sa/web'],
    ['spiffe://example.com', 'example.com', ''],
    ['spiffe://10.0.0.1/a', '10.0.0.1', '/a'],
    ['spiffe://a_b-c.9/A.b_c-D/...', 'a_b-c.9', '/A.b_c-D/...'],
  ])('%s has a trust domain and a path', (id, trustDomain, path) => {
    expect(parseSpiffeId(id)).toEqual({ id, trustDomain, path });
  });

  test.each([
    ['', /must begin with spiffe/],
    ['https://example.com/a', /must begin with spiffe/],
    ['SPIFFE://example.com/a', /must begin with spiffe/],
    ['spiffe:/example.com', /must begin with spiffe/],
    ['spiffe://', /must have a trust domain/],
    ['spiffe:///a', /must have a trust domain/],
    ['spiffe://Example.com/a', /a-z, 0-9/],
    ['spiffe://example.com:8080/a', /a-z, 0-9/],
    ['spiffe://user@example.com/a', /a-z, 0-9/],
    ['spiffe://[::1]/a', /a-z, 0-9/],
    ['spiffe://ex%61mple.com/a', /a-z, 0-9/],
    ['spiffe://exämple.com/a', /a-z, 0-9/],
    ['spiffe://example.com/', /empty segment/],
    ['spiffe://example.com/a/', /empty segment/],
    ['spiffe://example.com/a//b', /empty segment/],
    ['spiffe://example.com/./a', /"\." or "\.\."/],
    ['spiffe://example.com/a/..', /"\." or "\.\."/],
    ['spiffe://example.com/a%2fb', /a path of/],
    ['spiffe://example.com/a b', /a path of/],
    ['spiffe://example.com/a?b', /a path of/],
    ['spiffe://example.com/a#b', /a path of/],
    ['spiffe://example.com?b', /a-z, 0-9/],
    ['spiffe://example.com/a\u0000', /a path of/],
  ])('%j is none, and the message says why', (id, problem) => {
    expect(() => parseSpiffeId(id, 'spec.id')).toThrow(problem);
    expect(() => parseSpiffeId(id, 'spec.id')).toThrow(/^spec\.id: /);
    expect(spiffeIdOf(id)).toBeUndefined();
  });

  test('the limits are 255 bytes of trust domain and 2048 in all', () => {
    const domain = 'd'.repeat(255);
    expect(parseTrustDomain(domain)).toBe(domain);
    expect(() => parseTrustDomain(`${domain}d`)).toThrow(/255 bytes at most, has 256/);
    const longest = `spiffe://a/${'p'.repeat(2048 - 11)}`;
    expect(parseSpiffeId(longest).id).toHaveLength(2048);
    expect(() => parseSpiffeId(`${longest}p`)).toThrow(/2048 bytes at most \(SPIFFE-ID 2\.3\), has 2049/);
  });

  test("a workload's ID has a path", () => {
    expect(() => parseWorkloadId('spiffe://example.com')).toThrow(/must name a workload/);
  });

  test('whatever comes in, there is an ID or a DecodeError; and what is taken has one spelling only', () => {
    const near = fc.stringMatching(/^spiffe:\/\/[a-z0-9._%:@/?#A-Z-]{0,40}$/);
    fc.assert(
      fc.property(fc.oneof(fc.anything(), fc.string({ unit: 'binary' }), near), (value) => {
        try {
          const { id, trustDomain, path } = parseSpiffeId(value);
          expect(`spiffe://${trustDomain}${path}`).toBe(id);
          const url = new URL(id);
          expect([url.search, url.hash, url.username, url.port]).toEqual(['', '', '', '']);
        } catch (error) {
          expect(error).toBeInstanceOf(DecodeError);
        }
      }),
      { seed: 1, numRuns: 2000 },
    );
  });
});
