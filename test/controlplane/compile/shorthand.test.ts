import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { compile } from '../../../src/controlplane/compile/compile.js';
import { servicesToDocuments } from '../../../src/controlplane/compile/shorthand.js';
import { asJson, compileYaml, serviceYaml } from '../../support/mesh-yaml.js';

describe('services in one line', () => {
  test('are what the same Services in YAML are', () => {
    const short = compile(servicesToDocuments({ a: ['127.0.0.1:9001', '[::1]:9002'], b: [] }));
    const yaml = compileYaml(
      serviceYaml('a', 'endpoints: ["127.0.0.1:9001", "[::1]:9002"]') + serviceYaml('b', 'endpoints: []'),
    );
    expect(short.problems).toEqual([]);
    expect(asJson(short)).toEqual(asJson(yaml));
  });

  test.each<[unknown, string]>([
    [
      { a: ['127.0.0.1'] },
      'services.a[0]: must be host:port, such as 127.0.0.1:9001, [::1]:9001 or reviews.example.com:443, got "127.0.0.1"',
    ],
    [
      { a: ['h:1', 'h:x'] },
      'services.a[1]: must be host:port, such as 127.0.0.1:9001, [::1]:9001 or reviews.example.com:443, got "h:x"',
    ],
    [
      { a: [5] },
      'services.a[0]: must be host:port, such as 127.0.0.1:9001, [::1]:9001 or reviews.example.com:443, got 5',
    ],
    [
      { a: '127.0.0.1:1' },
      'services.a: must be a list of host:port, such as 127.0.0.1:9001, [::1]:9001 or reviews.example.com:443, got "127.0.0.1:1"',
    ],
    [{ a: ['h:1', 'H:1'] }, 'services.a[1]: address "H:1" is there twice'],
    [{ A_b: [] }, 'services.A_b: the name of a service has up to 63 lower-case letters, digits and "-"'],
    [[], 'services: must be an object, got []'],
    [null, 'services: must be an object, got null'],
  ])('%j is refused', (services, message) => {
    expect(() => servicesToDocuments(services as never)).toThrow(message);
  });

  test('whatever is given is taken or refused with a DecodeError', () => {
    fc.assert(
      fc.property(
        fc.oneof(fc.anything(), fc.dictionary(fc.string(), fc.array(fc.oneof(fc.string(), fc.anything())))),
        (value) => {
          try {
            expect(compile(servicesToDocuments(value as never)).problems).toEqual([]);
          } catch (error) {
            expect((error as Error).name).toBe('DecodeError');
          }
        },
      ),
      { numRuns: 1_000 },
    );
  });
});
