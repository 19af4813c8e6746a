import { describe, expect, test } from 'vitest';
import { collect } from '../../../src/core/body.js';
import { CancelledError } from '../../../src/core/errors.js';
import { headerFields } from '../../../src/core/headers.js';
import type { FaultConfig } from '../../../src/core/model/fault.js';
import { aCall } from '../../support/calls.js';
import { aFault, faultEnv, faulty } from './support.js';

const abort = (kind: 'http' | 'grpc', status: number): Partial<FaultConfig> => ({ abort: { kind, status, share: 1 } });

async function answer(config: Partial<FaultConfig>, protocol: 'http' | 'grpc') {
  const { env } = faultEnv();
  const { service, sent } = faulty([aFault(config)], env);
  const reply = await service(aCall({ protocol }));
  const body = await collect(reply.body, 1_000, () => new CancelledError());
  return { status: reply.status, headers: { ...reply.headers }, body: Buffer.from(body).toString(), sent: sent.length };
}

test('an abort over HTTP is a reply of plain text that says whose doing it is; nothing is sent', async () => {
  const { status, headers, body, sent } = await answer(abort('http', 503), 'http');
  expect([status, sent]).toEqual([503, 0]);
  expect(body).toBe('aborted on purpose (fault injection)\n');
  expect(headers).toEqual({
    'content-type': 'text/plain',
    'content-length': String(body.length),
    'mesh-error': 'FI',
  });
});

test.each([204, 304])('an abort with %d has no body', async (code) => {
  const { status, headers, body } = await answer(abort('http', code), 'http');
  expect([status, headers['content-length'], body]).toEqual([code, undefined, '']);
});

test('an abort over gRPC is a status alone, in the head', async () => {
  const { status, headers, body } = await answer(abort('grpc', 8), 'grpc');
  expect([status, body]).toEqual([200, '']);
  expect(headers).toEqual({
    'content-type': 'application/grpc',
    'grpc-status': '8',
    'grpc-message': 'aborted on purpose (fault injection)',
    'mesh-error': 'FI',
  });
});

/* grpc/doc/http-grpc-status-mapping.md; 200 and OK are the two "counter-intuitive edge cases" of gRFC A33. */
test.each([
  ['http', 400, '13'],
  ['http', 401, '16'],
  ['http', 403, '7'],
  ['http', 404, '12'],
  ['http', 429, '14'],
  ['http', 502, '14'],
  ['http', 503, '14'],
  ['http', 504, '14'],
  ['http', 500, '2'],
  ['http', 418, '2'],
  ['http', 200, '2'],
  ['grpc', 0, '0'],
  ['grpc', 3, '3'],
  ['grpc', 16, '16'],
  ['grpc', 17, '2'],
  ['grpc', 4_000_000_000, '2'],
] as const)('over gRPC %s %d is status %s', async (kind, status, expected) => {
  expect((await answer(abort(kind, status), 'grpc')).headers['grpc-status']).toBe(expected);
});

/* google/rpc/code.proto, "HTTP Mapping". */
test.each([
  [0, 200],
  [1, 499],
  [2, 500],
  [3, 400],
  [4, 504],
  [5, 404],
  [6, 409],
  [7, 403],
  [8, 429],
  [9, 400],
  [10, 409],
  [11, 400],
  [12, 501],
  [13, 500],
  [14, 503],
  [15, 500],
  [16, 401],
  [99, 500],
])('over HTTP gRPC status %d is %d', async (status, expected) => {
  expect((await answer(abort('grpc', status), 'http')).status).toBe(expected);
});

test('what the route changes about replies it changes about these', async () => {
  const { env } = faultEnv();
  const { service } = faulty([aFault(abort('http', 500))], {
    ...env,
    replies: (next) => (call) =>
      next(call).then((reply) => {
        reply.headers['x-route'] = 'reviews';
        return reply;
      }),
  });
  expect((await service(aCall())).headers['x-route']).toBe('reviews');
});

test('a reset looks like a lost connection, and says that it is none', async () => {
  const { env, faults, active } = faultEnv();
  const { service, sent } = faulty([aFault({ reset: { share: 1 }, ...abort('http', 500) })], env);
  const call = aCall();
  const error = await service(call).catch((failure: unknown) => failure);
  expect(error).toMatchObject({
    name: 'FaultInjectedError',
    code: 'FAULT_INJECTED',
    origin: 'mesh',
    reached: 'no',
    flag: 'FI',
    grpcStatus: 14,
    httpStatus: 503,
    policy: 'chaos',
  });
  expect([sent.length, faults(), call.record.flags, active.count]).toEqual([0, ['reset'], ['FI'], 0]);
});

describe('whom a policy is about', () => {
  const aborted = async (config: Partial<FaultConfig>, headers: Record<string, string | string[]>) => {
    const { env } = faultEnv();
    const { service } = faulty([aFault({ ...abort('http', 418), ...config })], env);
    return (await service(aCall({ headers: headerFields(headers) }))).status === 418;
  };
  const exactly = (name: string, value: string): FaultConfig['headers'][number] => ({
    name,
    match: { kind: 'exact', value, ignoreCase: false },
    invert: false,
    treatMissingAsEmpty: false,
  });

  test('requests of which all header matches hold', async () => {
    const headers = [exactly('x-user', 'tester'), exactly(':path', '/')];
    expect(await aborted({ headers }, { 'x-user': 'tester' })).toBe(true);
    expect(await aborted({ headers }, { 'x-user': 'somebody' })).toBe(false);
    expect(await aborted({ headers: [...headers, exactly('x-more', '1')] }, { 'x-user': 'tester' })).toBe(false);
  });

  test('calls to its cluster', async () => {
    expect(await aborted({ cluster: 'reviews' }, {})).toBe(true);
    expect(await aborted({ cluster: 'ratings' }, {})).toBe(false);
  });

  test('calls from its nodes, by what an Envoy says of itself', async () => {
    const downstreamNodes = ['node-1', 'node-2'];
    expect(await aborted({ downstreamNodes }, { 'x-envoy-downstream-service-node': 'node-2' })).toBe(true);
    expect(await aborted({ downstreamNodes }, { 'x-envoy-downstream-service-node': 'node-3' })).toBe(false);
    expect(await aborted({ downstreamNodes }, {})).toBe(false);
    expect(await aborted({ downstreamNodes: [] }, {})).toBe(true);
  });
});
