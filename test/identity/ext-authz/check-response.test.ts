import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { bytesField, textField, wholeField } from '../../../src/core/wire-write.js';
import { readCheckResponse } from '../../../src/identity/ext-authz/check-response.js';

const header = (name: string, value: string, more: Uint8Array = new Uint8Array(0)): Uint8Array =>
  Buffer.concat([bytesField(1, Buffer.concat([textField(1, name), textField(2, value)])), more]);
const status = (code: number): Uint8Array => bytesField(1, wholeField(1, code));
const ok = (...parts: Uint8Array[]): Uint8Array => bytesField(3, Buffer.concat(parts));
const denied = (...parts: Uint8Array[]): Uint8Array => bytesField(2, Buffer.concat(parts));
const APPEND = bytesField(2, wholeField(1, 1));

describe('an answer of an authorization service', () => {
  test('allows by its status, and denies by it, whatever else it says', () => {
    expect(readCheckResponse(new Uint8Array(0))?.kind).toBe('allowed');
    expect(readCheckResponse(ok())?.kind).toBe('allowed');
    expect(readCheckResponse(Buffer.concat([status(7), ok()]))).toMatchObject({ kind: 'denied', status: 403 });
    expect(readCheckResponse(denied())).toMatchObject({ kind: 'denied', status: 403 });
    expect(readCheckResponse(Buffer.concat([status(7), denied(status(401))]))).toMatchObject({ status: 401 });
    for (const code of [0, 1, 99, 600, 2 ** 31])
      expect(readCheckResponse(denied(status(code)))).toMatchObject({ kind: 'denied', status: 403 });
  });

  test('sets, appends and takes away headers, but not those by which a message is read or finds its way', () => {
    const names = [
      'host',
      'Host',
      ':path',
      ':authority',
      'content-length',
      'transfer-encoding',
      'connection',
      'bad name',
      '',
    ];
    const answer = ok(
      bytesField(2, header('X-User', 'ada')),
      bytesField(2, header('x-list', 'b', APPEND)),
      bytesField(2, header('x-bad', 'a\r\nx-admin: 1')),
      bytesField(5, Buffer.from('X-Secret')),
      bytesField(6, header('x-reply', 'r')),
      ...names.flatMap((name) => [bytesField(2, header(name, 'evil')), bytesField(5, Buffer.from(name))]),
    );
    expect(readCheckResponse(answer)).toEqual({
      kind: 'allowed',
      set: { 'x-user': 'ada' },
      append: { 'x-list': 'b' },
      addIfAbsent: {},
      remove: ['x-secret'],
      reply: { 'x-reply': 'r' },
    });
  });

  test('with more headers than anybody needs is none', () => {
    const many = Array.from({ length: 300 }, (_, i) => bytesField(2, header(`x-${i}`, 'v')));
    expect(readCheckResponse(ok(...many))).toBeUndefined();
    expect(readCheckResponse(Buffer.concat([status(7), denied(...many)]))).toBeUndefined();
  });

  test('of any bytes is a verdict or none, and never throws', () => {
    const part = fc.oneof(fc.uint8Array({ maxLength: 40 }), fc.constant(header('x', 'y')), fc.constant(status(7)));
    const message = fc
      .array(fc.tuple(fc.integer({ min: 1, max: 8 }), part))
      .map((it) => Buffer.concat(it.map(([field, bytes]) => bytesField(field, bytes))));
    fc.assert(
      fc.property(
        fc.oneof(
          fc.uint8Array(),
          message,
          message.map((it) => ok(it)),
          message.map((it) => denied(it)),
        ),
        (bytes) => {
          const verdict = readCheckResponse(bytes);
          expect(verdict === undefined || verdict.kind === 'allowed' || verdict.status >= 200).toBe(true);
        },
      ),
      { numRuns: 2_000 },
    );
  });
});
