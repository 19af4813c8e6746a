import { expect, test } from 'vitest';
import { headerFields } from '../../../src/core/headers.js';
import type { LimitRequest } from '../../../src/core/limits.js';
import { DEFAULT_LIMIT_REPLY, type LimitKey } from '../../../src/core/model/limit.js';
import { keyReader } from '../../../src/resilience/ratelimit/key.js';
import { refusedVerdict } from '../../../src/resilience/ratelimit/refusal.js';

const request: LimitRequest = {
  protocol: 'http',
  scheme: 'https',
  method: 'GET',
  path: '/a?b=1',
  host: 'Shop:80',
  headers: headerFields(),
  remote: '10.1.2.3',
  principal: undefined,
  claims: undefined,
  route: undefined,
  destination: undefined,
  deadline: Number.POSITIVE_INFINITY,
  cancellation: undefined,
};
const matching = { any: () => () => true, queryValue: () => undefined };
const read = (key: LimitKey, remote = request.remote) => keyReader([key], { matching })({ ...request, remote })?.[0];

test.each([
  [':path', '/a?b=1'],
  [':method', 'GET'],
  [':authority', 'Shop:80'],
  [':scheme', 'https'],
])('the pseudo-header %s of Envoy’s actions is of the request', (name, value) => {
  expect(read({ kind: 'header', name, as: 'x', absent: 'skip-rule' })).toBe(value);
});

test.each([
  ['10.1.2.3', '10.1.2.3', '10.1.0.0/16'],
  ['2001:db8:0:0:1:0:0:1', '2001:db8::1:0:0:1', '2001:db8::/32'],
  ['::1', '::1', '::/32'],
  ['1:2:3:4:5:6:7:8', '1:2:3:4:5:6:7:8', '1:2::/32'],
  ['1:0:3:4:5:6:7:0', '1:0:3:4:5:6:7:0', '1::/32'],
  ['0:0:0:0:0:0:0:0', '::', '::/32'],
  ['::ffff:10.1.2.3', '10.1.2.3', '10.1.0.0/16'],
])('the address %s is %s, and masked %s, as Envoy writes them (RFC 5952)', (address, all, masked) => {
  expect(read({ kind: 'remote_address', as: 'remote_address' }, address)).toBe(all);
  expect(read({ kind: 'remote_address', as: 'masked_remote_address', v4Bits: 16, v6Bits: 32 }, address)).toBe(masked);
});

test('a key of which every entry is left out counts nothing, as a descriptor without entries is none in Envoy', () => {
  const entry = (name: string): LimitKey => ({ kind: 'header', name, as: name, absent: 'skip-entry' });
  expect(keyReader([entry('a'), entry('b')], { matching })(request)).toBeUndefined();
  expect(keyReader([entry('a'), entry(':method')], { matching })(request)).toEqual([undefined, 'GET']);
});

test('refusals have the headers that the filter adds, and a status of their own where the store does not answer', () => {
  const limits = {
    ...DEFAULT_LIMIT_REPLY,
    rules: [],
    refusalHeaders: [{ name: 'x-limited', value: 'yes' }],
    failureStatus: 500,
  };
  const refusal = { rule: 'r', said: undefined, retryAfterMs: undefined };
  const over = refusedVerdict(limits, { ...refusal, reason: 'limit' }, [], () => 0);
  expect(over).toMatchObject({ status: 429, grpcStatus: 8, headers: { 'x-limited': 'yes' } });
  // What 500 means to gRPC, as Envoy's local reply has it.
  expect(refusedVerdict(limits, { ...refusal, reason: 'store' }, [], () => 0)).toMatchObject({
    status: 500,
    grpcStatus: 2,
    flag: 'RLSE',
  });
  const plain = { ...DEFAULT_LIMIT_REPLY, rules: [] };
  expect(refusedVerdict(plain, { ...refusal, reason: 'store' }, [], () => 0)).toMatchObject({
    status: 429,
    grpcStatus: 8,
  });
});

test('refusals say x-envoy-ratelimited where a limit is passed, and not where nobody could be asked, nor where the limits say not to', () => {
  const refusal = { rule: 'r', said: undefined, retryAfterMs: undefined };
  const { headers } = DEFAULT_LIMIT_REPLY;
  const said = (xEnvoyRateLimited: boolean, reason: 'limit' | 'queue-full' | 'store') => {
    const limits = { ...DEFAULT_LIMIT_REPLY, rules: [], headers: { ...headers, xEnvoyRateLimited } };
    return { ...refusedVerdict(limits, { ...refusal, reason }, [], () => 0).headers };
  };
  expect(headers.xEnvoyRateLimited).toBe(true);
  expect(said(true, 'limit')).toEqual({ 'x-envoy-ratelimited': 'true' });
  expect(said(true, 'queue-full')).toEqual({ 'x-envoy-ratelimited': 'true' });
  expect(said(true, 'store')).toEqual({});
  expect(said(false, 'limit')).toEqual({});
});
