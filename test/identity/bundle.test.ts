import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { DecodeError } from '../../src/core/decode.js';
import { MAX_BUNDLE_BYTES, parseBundle, parseBundleMap, trustOf, writeBundle } from '../../src/identity/bundle.js';
import { CERTIFICATE, readPem } from '../../src/identity/pem.js';
import { testCa } from '../support/pki.js';

const [ca, next] = [testCa(), testCa({ alg: 'rsa' })];
const der64 = (pem: string): string => (readPem(pem, CERTIFICATE)[0] as Buffer).toString('base64');
const x509 = (extra: object = {}) => ({ kty: 'EC', use: 'x509-svid', x5c: [der64(ca.root)], ...extra });
const bundle = (...keys: unknown[]): string => JSON.stringify({ keys, spiffe_sequence: 12, spiffe_refresh_hint: 300 });

describe('trust bundles', () => {
  test('a JWK set has the CA certificates and the keys of tokens, its sequence and its refresh hint', () => {
    const jwt = { kty: 'EC', use: 'jwt-svid', kid: 'a', crv: 'P-256', x: 'x', y: 'y' };
    expect(parseBundle(bundle(x509(), jwt))).toEqual({
      x509Authorities: [ca.root],
      jwtAuthorities: [jwt],
      sequence: 12,
      refreshHintMs: 300_000,
    });
  });

  test.each([
    ['an unknown use', x509({ use: 'ssh-svid' })],
    ['no use', { kty: 'EC', x5c: [der64(ca.root)] }],
    ['an unknown key type', x509({ kty: 'PQ' })],
    ['no certificate', x509({ x5c: undefined })],
    ['an empty list of certificates', x509({ x5c: [] })],
  ])('a key that is not for us is left out: %s', (_, key) => {
    expect(parseBundle(bundle(key, x509())).x509Authorities).toEqual([ca.root]);
  });

  test('of several certificates of a key only the first counts', () => {
    expect(parseBundle(bundle(x509({ x5c: [der64(ca.root), der64(next.root)] }))).x509Authorities).toEqual([ca.root]);
  });

  test('no keys: the trust domain has withdrawn them all', () => {
    expect(parseBundle('{"keys": []}')).toMatchObject({
      x509Authorities: [],
      sequence: undefined,
      refreshHintMs: undefined,
    });
  });

  test.each([
    ['no JSON', 'x', /^bundle: must be JSON/],
    ['no object', '[]', /^bundle: must be an object/],
    ['no keys', '{}', /^bundle\.keys: must be a list/],
    ['a key that is none', '{"keys": [1]}', /^bundle\.keys\[0\]: must be an object/],
    ['a key without a type', '{"keys": [{}]}', /^bundle\.keys\[0\]\.kty: must be a string/],
    ['a certificate that is no text', bundle(x509({ x5c: [1] })), /^bundle\.keys\[0\]\.x5c\[0\]: must be a string/],
    ['a certificate that is no base64', bundle(x509({ x5c: ['*'] })), /x5c\[0\]: must be base64/],
    ['a certificate that is none', bundle(x509({ x5c: ['AAAA'] })), /x5c\[0\]: certificate/],
    ['a sequence that is none', '{"keys": [], "spiffe_sequence": "1"}', /spiffe_sequence: must be a whole number/],
    ['a hint that is none', '{"keys": [], "spiffe_refresh_hint": 1.5}', /spiffe_refresh_hint: must be a whole number/],
    ['too long', ' '.repeat(MAX_BUNDLE_BYTES + 1), /4194304 characters at most/],
    ['too many keys', JSON.stringify({ keys: Array(4097).fill({}) }), /4096 keys at most/],
  ])('what is none is refused, by its place: %s', (_, text, message) => {
    expect(() => parseBundle(text)).toThrow(message);
  });

  test('what is written is read again', () => {
    const made = {
      x509Authorities: [ca.root, next.root],
      jwtAuthorities: [{ kty: 'RSA', use: 'jwt-svid', kid: 'k' }],
      sequence: 3,
      refreshHintMs: 60_000,
    };
    const text = writeBundle(made);
    expect(parseBundle(text)).toEqual(made);
    const { keys } = JSON.parse(text) as { keys: Record<string, unknown>[] };
    expect(keys.slice(0, 2).map(({ kty, use, kid, x5c }) => [kty, use, kid, (x5c as string[]).length])).toEqual([
      ['EC', 'x509-svid', undefined, 1],
      ['RSA', 'x509-svid', undefined, 1],
    ]);
  });

  test('a map has a bundle for each trust domain, and each answers for its own names', () => {
    const map = parseBundleMap(`{"trust_domains": {"a.example": ${bundle(x509())}, "b.example": {"keys": []}}}`);
    expect(trustOf(map)).toEqual({
      kind: 'spiffe',
      bundles: new Map([
        ['a.example', [ca.root]],
        ['b.example', []],
      ]),
    });
    expect(parseBundleMap('{"trust_domains": {}}').size).toBe(0);
  });

  test.each([
    ['{}', /^bundles\.trust_domains: must be an object/],
    ['{"trust_domains": {"A": {"keys": []}}}', /^bundles\.trust_domains\.A: must have a trust domain of/],
    ['{"trust_domains": {"a": {}}}', /^bundles\.trust_domains\.a\.keys: must be a list/],
    ['{"trust_domains": {"a": {"keys": []}, "a": {"keys": []}}}', /^bundles\.trust_domains\.a: is there twice/],
    [
      '{"trust_domains": {}, "x": [{"a": "\\"{"}, {"a": 1}], "trust\\u005fdomains": {}}',
      /^bundles\.trust_domains: is there twice/,
    ],
  ])('a map that is none is refused: %s', (text, message) => {
    expect(() => parseBundleMap(text)).toThrow(message);
  });

  test('whatever comes in, there is a bundle or a DecodeError', () => {
    const jwk = fc.record(
      {
        kty: fc.constantFrom('EC', 'RSA', 'x', 1),
        use: fc.constantFrom('x509-svid', 'jwt-svid', 'x', 1),
        x5c: fc.oneof(fc.array(fc.base64String()), fc.jsonValue()),
      },
      { requiredKeys: [] },
    );
    const near = fc.record(
      { keys: fc.array(jwk), spiffe_sequence: fc.jsonValue(), spiffe_refresh_hint: fc.jsonValue() },
      { requiredKeys: [] },
    );
    const map = fc.record({ trust_domains: fc.dictionary(fc.string(), near) });
    fc.assert(
      fc.property(fc.oneof(near, map, fc.jsonValue()), fc.nat(40), (value, cut) => {
        const text = JSON.stringify(value);
        for (const parse of [parseBundle, parseBundleMap]) {
          for (const given of [text, text.slice(0, -cut)]) {
            try {
              parse(given);
            } catch (error) {
              expect(error).toBeInstanceOf(DecodeError);
            }
          }
        }
      }),
      { seed: 1, numRuns: 1000 },
    );
  });
});
