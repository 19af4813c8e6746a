import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { bytesField, textField } from '../../../src/core/wire-write.js';
import { endpointTarget } from '../../../src/identity/workload-api/endpoint.js';
import { pemsOf } from '../../../src/identity/workload-api/der.js';
import {
  readJwtBundles,
  readJwtSvids,
  readValidatedJwt,
  readX509Bundles,
  readX509Svids,
} from '../../../src/identity/workload-api/read.js';
import { testCa } from '../../support/pki.js';
import { joined, struct, structValue, x509Bundles, x509Svid, x509Svids } from '../../support/workload-api-server.js';

describe('messages of the Workload API', () => {
  const ca = testCa();
  const sound = [
    x509Svids([x509Svid(ca.issue(), [ca.root], 'hint')], { 'spiffe://partner.example': [ca.root] }),
    x509Bundles({ 'spiffe://example.org': [ca.root] }),
    Buffer.concat([textField(1, 'spiffe://a/b'), bytesField(2, struct({ a: [1, { b: null }] }))]),
  ];

  test('whatever comes is read or refused, and never throws', () => {
    const readers = [readX509Svids, readX509Bundles, readJwtSvids, readJwtBundles, readValidatedJwt, pemsOf];
    const damaged = fc
      .tuple(fc.constantFrom(...sound), fc.array(fc.tuple(fc.nat(), fc.nat(255)), { maxLength: 8 }), fc.nat())
      .map(([message, changes, cut]) => {
        const copy = Buffer.from(message);
        for (const [at, byte] of changes) copy[at % copy.length] = byte;
        return copy.subarray(0, 1 + (cut % copy.length));
      });
    fc.assert(
      fc.property(fc.oneof(fc.uint8Array({ maxLength: 400 }), damaged), (bytes) => {
        for (const read of readers) read(bytes);
      }),
      { numRuns: 500 },
    );
  });

  test('a chain is taken apart into the certificates that it was made of, or not at all', () => {
    expect(pemsOf(joined([ca.root, ca.root]))).toEqual([ca.root, ca.root]);
    const bytes = joined([ca.root]);
    expect(pemsOf(bytes.subarray(0, -1))).toBeUndefined();
    expect(pemsOf(Buffer.concat([bytes, Buffer.from([0])]))).toBeUndefined();
    expect(pemsOf(Buffer.concat(Array.from({ length: 501 }, () => Buffer.from([0x30, 0]))))).toBeUndefined();
  });

  test('claims are what they were, a key that is special to JavaScript included', () => {
    const claims = { ['__proto__']: 'own', text: '', no: false, zero: 0, list: [], none: null };
    const read = readValidatedJwt(Buffer.concat([textField(1, 'spiffe://a/b'), bytesField(2, struct(claims))]));
    expect(JSON.stringify(read?.claims)).toBe(JSON.stringify(claims));
    expect(Object.getPrototypeOf(read?.claims ?? {})).toBe(Object.prototype);
  });

  test('claims that go too deep are refused', () => {
    let deep: unknown = 1;
    for (let i = 0; i < 40; i++) deep = [deep];
    expect(readValidatedJwt(Buffer.concat([textField(1, 'a'), bytesField(2, struct({ deep }))]))).toBeUndefined();
    void structValue;
  });

  test('of too many identities none is taken', () => {
    const one = x509Svid(ca.issue(), [ca.root]);
    expect(readX509Svids(x509Svids(Array.from({ length: 1_000 }, () => one)))?.svids.length).toBe(1_000);
    expect(readX509Svids(x509Svids(Array.from({ length: 1_001 }, () => one)))).toBeUndefined();
  });
});

describe('the endpoint', () => {
  test.each([
    ['unix:///run/spire/agent.sock', 'unix:/run/spire/agent.sock'],
    ['unix:/run/agent.sock', 'unix:/run/agent.sock'],
    ['unix:///run/a%20b.sock', 'unix:/run/a b.sock'],
    ['tcp://127.0.0.1:8000', '127.0.0.1:8000'],
    ['tcp://[::1]:8000', '[::1]:8000'],
  ])('%s is %s', (uri, target) => {
    expect(endpointTarget(uri)).toBe(target);
  });

  test.each([
    'agent.sock',
    'unix://run/agent.sock',
    'unix:agent.sock',
    'unix:///run/agent.sock?x=1',
    'unix:///run/agent.sock#x',
    'unix:///',
    'tcp://127.0.0.1:8000/foo',
    'tcp://localhost:8000',
    'tcp://127.0.0.1',
    'tcp://user@127.0.0.1:8000',
    'http://127.0.0.1:8000',
    '',
  ])('%j is refused with the forms that there are', (uri) => {
    expect(() => endpointTarget(uri)).toThrow(/use unix:\/\/\/absolute\/path or tcp:\/\/127.0.0.1:port/);
  });
});
