import { credentials, status } from '@grpc/grpc-js';
import { expect, test } from 'vitest';
import { callMetadata } from '../../../src/client/grpc/credentials.js';

const failing = (error: unknown): Promise<unknown> => {
  const creds = credentials.createFromMetadataGenerator((_, done) => done(error as Error));
  const channel = { secure: true, authority: 'reviews' } as Parameters<typeof callMetadata>[3];
  return callMetadata(creds, {}, { path: '/a.B/C' } as Parameters<typeof callMetadata>[2], channel).catch((e) => e);
};
const withCode = (code: number): Error => Object.assign(new Error('because'), { code });

// "If an "inappropriate status" is detected, the status should be rewritten to use INTERNAL" - gRFC A54
test.each([
  status.OK,
  status.INVALID_ARGUMENT,
  status.NOT_FOUND,
  status.ALREADY_EXISTS,
  status.FAILED_PRECONDITION,
  status.ABORTED,
  status.OUT_OF_RANGE,
  status.DATA_LOSS,
])('A54: call credentials that fail with status %i fail the call with INTERNAL', async (code) => {
  expect(await failing(withCode(code))).toMatchObject({
    code: status.INTERNAL,
    message: `call credentials failed: because (status ${code} is not for credentials to give)`,
  });
});

test.each([status.UNAVAILABLE, status.UNAUTHENTICATED, status.PERMISSION_DENIED])(
  'A54: call credentials that fail with status %i fail the call with it',
  async (code) => {
    expect(await failing(withCode(code))).toMatchObject({ code, message: 'call credentials failed: because' });
  },
);

test('call credentials that fail without a status of gRPC fail the call with UNKNOWN', async () => {
  expect(await failing(withCode(404))).toMatchObject({ code: status.UNKNOWN });
  expect(await failing(new Error('because'))).toMatchObject({ code: status.UNKNOWN });
});
