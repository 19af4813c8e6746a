import { describe, expect, test } from 'vitest';
import { ConnectError, ConnectionLostError, StreamResetError } from '../../../src/client/transport/errors.js';
import { attemptFailed, grpcToHttpStatus, replyEnded } from '../../../src/client/outlier/attempt-result.js';
import type { AttemptMonitor } from '../../../src/client/endpoints/endpoint.js';
import { CancelledError, type MeshError } from '../../../src/core/errors.js';
import { headerFields } from '../../../src/core/headers.js';
import { CircuitOpenError } from '../../../src/resilience/concurrency/circuit-limits.js';
import { AttemptTimeoutError } from '../../../src/resilience/deadline/errors.js';
import { aCall, aReply, GOOD_END } from '../../support/calls.js';

type Told = Parameters<AttemptMonitor['finished']>;

function told(tell: (monitor: AttemptMonitor) => void): Told[] {
  const calls: Told[] = [];
  tell({ finished: (...args) => void calls.push(args) });
  return calls;
}

const ofHttp = (status: number, error?: MeshError): Told[] =>
  told((monitor) => replyEnded(monitor, aCall(), aReply(status), { ...GOOD_END, error }, 7));

const ofGrpc = (grpcStatus: number | undefined, httpStatus = 200, error?: MeshError): Told[] => {
  const trailers = grpcStatus === undefined ? undefined : headerFields({ 'grpc-status': String(grpcStatus) });
  const end = { ...GOOD_END, error, trailers };
  return told((monitor) => replyEnded(monitor, aCall({ protocol: 'grpc' }), aReply(httpStatus), end, 7));
};

const ofError = (error: MeshError): Told[] => told((monitor) => attemptFailed(monitor, error, 7));

describe('HTTP', () => {
  test('succeeds below 500', () => {
    expect(ofHttp(200)).toEqual([['success', 200, false, 7]]);
    expect(ofHttp(429)).toEqual([['success', 429, false, 7]]);
    expect(ofHttp(500)).toEqual([['failure', 500, false, 7]]);
  });

  test('a reply that broke off is a failure of the connection; a caller who gave up says nothing', () => {
    expect(ofHttp(200, new ConnectionLostError('a', 'gone', 'yes'))).toEqual([['failure', undefined, true, 7]]);
    expect(ofHttp(200, new CancelledError())).toEqual([]);
    expect(ofHttp(503, new CancelledError())).toEqual([['failure', 503, false, 7]]);
  });
});

describe('gRPC', () => {
  test('succeeds by OK alone (A50), while rows of failures go by what the status maps to (Envoy)', () => {
    expect(ofGrpc(0)).toEqual([['success', 200, false, 7]]);
    expect(ofGrpc(5)).toEqual([['failure', 404, false, 7]]);
    expect(ofGrpc(14)).toEqual([['failure', 503, false, 7]]);
    expect(ofGrpc(4)).toEqual([['failure', 504, false, 7]]);
  });

  test('a reply without a status is judged by HTTP’s, and 200 without one is an error of the server', () => {
    expect(ofGrpc(undefined, 502)).toEqual([['failure', 502, false, 7]]);
    expect(ofGrpc(undefined)).toEqual([['failure', 500, false, 7]]);
    expect(ofGrpc(undefined, 200, new CancelledError())).toEqual([]);
  });

  test('all statuses map as Envoy has it, and unknown ones to 500', () => {
    const mapped = Array.from({ length: 18 }, (_, status) => grpcToHttpStatus(status));
    expect(mapped).toEqual([200, 499, 500, 400, 504, 404, 409, 403, 429, 400, 409, 400, 501, 500, 503, 500, 401, 500]);
  });
});

test('without a reply: connections and timeouts are of local origin, resets are the server’s word, refusals of ours say nothing', () => {
  expect(ofError(new ConnectError('a', 'refused'))).toEqual([['failure', undefined, true, 7]]);
  expect(ofError(new AttemptTimeoutError(100))).toEqual([['failure', undefined, true, 7]]);
  expect(ofError(new StreamResetError('a', 'CANCEL', 'maybe'))).toEqual([['failure', 503, false, 7]]);
  expect(ofError(new CircuitOpenError('reviews', 'max_requests', 1))).toEqual([]);
  expect(ofError(new CancelledError())).toEqual([]);
});
