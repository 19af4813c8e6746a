import { describe, expect, test } from 'vitest';
import { type CallPolicyOptions, narrowed, readCallPolicy } from '../../src/core/call-policy.js';

const read = (given: unknown) => readCallPolicy(given as CallPolicyOptions, 'mesh');
const refused = (given: unknown): string => {
  try {
    read(given);
  } catch (error) {
    return (error as Error).message;
  }
  return 'taken';
};

describe('what a call says of its policies', () => {
  test('is nothing when it names none, however often', () => {
    expect(read({ timeoutMs: 5 })).toBe(read({}));
    expect(read({}).policy).toBeUndefined();
  });

  test('is read once from an object that is used again, and anew when the object says something else', () => {
    const options: { retry: CallPolicyOptions['retry'] } = { retry: { maxRetries: 2 } };
    const first = read(options);
    expect(read(options)).toBe(first);
    options.retry = { maxRetries: 3 };
    expect(read(options).policy?.retry).toEqual({ maxRetries: 3 });
  });

  test('is one policy for equal objects, so that what is composed by it is composed once', () => {
    const one = read({ retry: { on: ['5xx', 'reset'], maxRetries: 2 }, hedge: { delayMs: 5 } }).policy;
    expect(read({ hedge: { delayMs: 5 }, retry: { on: ['reset', '5xx'], maxRetries: 2 } }).policy).toBe(one);
    expect(read({ hedge: { delayMs: 6 }, retry: { on: ['reset', '5xx'], maxRetries: 2 } }).policy).not.toBe(one);
  });

  test('with a fallback of its own is one policy whatever the fallback is', () => {
    const answer = () => undefined;
    const own = read({ fallback: answer });
    expect(own.fallback).toBe(answer);
    expect(read({ fallback: { body: '[]' } }).policy).toBe(own.policy);
    expect(read({ fallback: false })).toEqual({ policy: own.policy, fallback: undefined });
    expect(own.policy?.ownFallback).toBe(true);
  });

  test('has a longest wait of ten times the first, as over xDS', () => {
    expect(read({ retry: { baseMs: 40 } }).policy?.retry).toEqual({ baseMs: 40, maxMs: 400 });
    expect(read({ retry: { baseMs: 40, maxMs: 50 } }).policy?.retry).toEqual({ baseMs: 40, maxMs: 50 });
  });

  test('by a delay or a percentile stands over the delay of the route', () => {
    expect(read({ hedge: { percentile: 0.9 } }).policy?.hedge).toEqual({
      delayMs: undefined,
      percentile: 0.9,
      onPerTryTimeout: false,
    });
    expect(read({ hedge: {} }).policy?.hedge).toEqual({});
  });

  test.each([
    [{ retry: true }, 'mesh.retry: must be false or an object, got true'],
    [{ retry: { attempts: 2 } }, 'mesh.retry.attempts: unknown field'],
    [{ retry: { maxRetris: 2 } }, 'mesh.retry.maxRetris: unknown field; did you mean "maxRetries"?'],
    [{ retry: { maxRetries: 0 } }, 'mesh.retry.maxRetries: must be a number from 1 to 10, got 0'],
    [{ retry: { maxRetries: 1.5 } }, 'mesh.retry.maxRetries: must be a whole number from 1 to 10, got 1.5'],
    [{ retry: { perTryTimeoutMs: Number.NaN } }, 'mesh.retry.perTryTimeoutMs: must be a number'],
    [{ retry: { on: ['500'] } }, 'mesh.retry.on[0]: must be one of 5xx, gateway-error'],
    [{ retry: { on: '5xx' } }, 'mesh.retry.on: must be a list of 1 to 100, got "5xx"'],
    [{ retry: { statusCodes: [42] } }, 'mesh.retry.statusCodes[0]: must be a number from 200 to 599, got 42'],
    [{ retry: { baseMs: 50, maxMs: 40 } }, 'mesh.retry.maxMs: must not be less than baseMs, 50, got 40'],
    [{ hedge: { maxAttempts: 6 } }, 'mesh.hedge.maxAttempts: must be a number from 2 to 5, got 6'],
    [{ hedge: { percentile: 95 } }, 'mesh.hedge.percentile: must be a number from 0.01 to 0.9999, got 95'],
    [{ hedge: { delayMs: 5, percentile: 0.9 } }, 'mesh.hedge: give only one of delayMs and percentile'],
    [{ fallback: true }, 'mesh.fallback: must be false, a function or a reply, got true'],
    [{ fallback: new Response('x') }, 'mesh.fallback: a Response can be read once: give a function'],
    [{ fallback: { text: 'x' } }, 'mesh.fallback.text: unknown field'],
    [{ fallback: { status: 101 } }, 'mesh.fallback.status: must be a number from 200 to 599, got 101'],
    [{ fallback: { grpcStatus: 17 } }, 'mesh.fallback.grpcStatus: must be a number from 0 to 16, got 17'],
    [{ fallback: { body: 7 } }, 'mesh.fallback.body: must be a string or bytes, got 7'],
    [{ fallback: { headers: { a: 1 } } }, 'mesh.fallback.headers.a: must be a string or strings, got 1'],
    [
      { fallback: { headers: { a: 'b\r\nc: d' } } },
      'mesh.fallback.headers.a: must be Latin-1 without control characters',
    ],
    [{ fallback: { headers: { a: ['ok', '\u20ac'] } } }, 'mesh.fallback.headers.a: must be Latin-1'],
    [
      { fallback: { headers: { 'a b': 'c' } } },
      'mesh.fallback.headers: must have names of headers (RFC 9110), got "a b"',
    ],
    [{ fallback: { grpcMessage: '\ud800' } }, 'mesh.fallback.grpcMessage: must be well-formed Unicode'],
  ])('that cannot be meant is refused: %j', (given, message) => {
    expect(refused(given)).toContain(message);
  });

  test('of a call leaves the fields alone of which its client says more', () => {
    const client = read({ retry: { maxRetries: 3, baseMs: 40 }, hedge: { maxAttempts: 3, percentile: 0.9 } });
    const of = (call: unknown) => narrowed(client, read(call)).policy;
    expect(of({ retry: { maxRetries: 1 } })?.retry).toEqual({ maxRetries: 1, baseMs: 40, maxMs: 400 });
    expect(of({ retry: { baseMs: 10 } })?.retry).toEqual({ maxRetries: 3, baseMs: 10, maxMs: 100 });
    expect(of({ hedge: { maxExtraLoad: 0.2 } })?.hedge).toEqual({
      ...{ maxAttempts: 3, maxExtraLoad: 0.2 },
      ...{ percentile: 0.9, delayMs: undefined, onPerTryTimeout: false },
    });
    expect(of({ retry: false })?.retry).toBe(false);
    expect(narrowed(read({ retry: false }), read({ retry: { maxRetries: 2 } })).policy?.retry).toEqual({
      maxRetries: 2,
    });
  });

  test('by a delay of the call stands over the percentile of its client, and the other way round', () => {
    const byDelay = { delayMs: 5, onPerTryTimeout: false };
    const byPercentile = { delayMs: undefined, percentile: 0.9, onPerTryTimeout: false };
    const hedge = (client: unknown, call: unknown) =>
      narrowed(read({ hedge: client }), read({ hedge: call })).policy?.hedge;
    expect(hedge({ percentile: 0.9 }, { delayMs: 5 })).toMatchObject(byDelay);
    expect(hedge({ delayMs: 5 }, { percentile: 0.9 })).toEqual(byPercentile);
    expect(hedge({ delayMs: 5 }, {})).toEqual(byDelay);
  });

  test("of a call stands over what its client says, field by field, and its fallback over its client's", () => {
    const client = read({ retry: false, fallback: { body: 'client' } });
    const call = read({ hedge: { delayMs: 5 } });
    expect(narrowed(client, call)).toEqual({
      policy: { retry: false, hedge: { delayMs: 5, onPerTryTimeout: false }, ownFallback: true },
      fallback: { body: 'client' },
    });
    expect(narrowed(client, read({ fallback: false })).fallback).toBeUndefined();
    expect(narrowed(client, read({}))).toBe(client);
    expect(narrowed(read({}), call)).toBe(call);
  });
});
