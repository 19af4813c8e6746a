import type * as grpc from '@grpc/grpc-js';

const same = (bytes: Buffer): Buffer => bytes;

/** A unary method whose messages are bytes: what is measured is the channel, not protobuf. */
export const ECHO = {
  get: {
    path: '/bench.Echo/Get',
    requestStream: false,
    responseStream: false,
    requestSerialize: same,
    requestDeserialize: same,
    responseSerialize: same,
    responseDeserialize: same,
  },
} satisfies grpc.ServiceDefinition;
