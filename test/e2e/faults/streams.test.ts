import { once } from 'node:events';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import * as grpc from '@grpc/grpc-js';
import { afterEach, describe, expect, test } from 'vitest';
import { startProxy } from '../../../src/proxy/index.js';
import { requestPolicyYaml, serviceYaml } from '../../support/mesh-yaml.js';
import { openCarrier } from '../support/carriers.js';

/* Streams, both ways: what befalls them in the middle, and what becomes of those that are not sent. */

const toJson = (value: unknown): Buffer => Buffer.from(JSON.stringify(value));
const fromJson = (bytes: Buffer): unknown => JSON.parse(bytes.toString());
const method = (name: string, requestStream: boolean, responseStream: boolean) => ({
  path: `/test.Streams/${name}`,
  requestStream,
  responseStream,
  requestSerialize: toJson,
  requestDeserialize: fromJson,
  responseSerialize: toJson,
  responseDeserialize: fromJson,
});
const STREAMS: grpc.ServiceDefinition = {
  up: method('Up', true, false),
  down: method('Down', false, true),
  both: method('Both', true, true),
};
/** Messages of a stream down, of about 1 kB each. */
const MESSAGES = 20;
const message = (number: number) => ({ number, filling: 'x'.repeat(1_000) });

const opened: (() => Promise<unknown> | unknown)[] = [];
afterEach(async () => {
  for (const close of opened.splice(0).reverse()) await close();
});

async function backend() {
  const seen = { calls: 0 };
  const server = new grpc.Server();
  server.addService(STREAMS, {
    up: (call: grpc.ServerReadableStream<unknown, unknown>, done: grpc.sendUnaryData<unknown>) => {
      seen.calls++;
      let count = 0;
      call.on('data', () => count++);
      call.on('error', () => {});
      call.on('end', () => done(null, { count }));
    },
    down: (call: grpc.ServerWritableStream<unknown, unknown>) => {
      seen.calls++;
      call.on('error', () => {});
      for (let i = 0; i < MESSAGES; i++) call.write(message(i));
      call.end();
    },
    both: (call: grpc.ServerDuplexStream<unknown, unknown>) => {
      seen.calls++;
      call.on('error', () => {});
      call.on('data', (each) => call.write(each));
      call.on('end', () => call.end());
    },
  });
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync('127.0.0.1:0', grpc.ServerCredentials.createInsecure(), (error, bound) =>
      error === null ? resolve(bound) : reject(error),
    );
  });
  opened.push(() => server.forceShutdown());
  return { seen, port };
}

interface Streams {
  up(done: (error: grpc.ServiceError | null, reply?: { count: number }) => void): grpc.ClientWritableStream<unknown>;
  down(request: unknown): grpc.ClientReadableStream<unknown>;
  both(): grpc.ClientDuplexStream<unknown, unknown>;
  close(): void;
}

const yaml = (port: number, policy: string): string =>
  serviceYaml('streams', `endpoints: ["127.0.0.1:${port}"], ports: [{ port: 80, appProtocol: kubernetes.io/h2c }]`) +
  requestPolicyYaml('FaultPolicy', 'chaos', 'kind: Service, name: streams', policy);

describe.each(['gRPC', 'the proxy'])('streams over %s', (face) => {
  const open = async (policy: string) => {
    const { seen, port } = await backend();
    const carrier = await openCarrier('embedded', yaml(port, policy));
    opened.push(() => carrier.close());
    const Client = grpc.makeGenericClientConstructor(STREAMS, 'Streams');
    if (face === 'gRPC') {
      const client = carrier.mesh.grpc(Client, 'streams') as unknown as Streams;
      opened.push(() => client.close());
      return { client, seen };
    }
    const proxy = await startProxy({ service: carrier.mesh.service, listen: '127.0.0.1:0' });
    opened.push(() => proxy.close({ graceMs: 0 }));
    const options = { 'grpc.default_authority': 'streams' };
    const client = new Client(`127.0.0.1:${proxy.port}`, grpc.credentials.createInsecure(), options);
    opened.push(() => client.close());
    return { client: client as unknown as Streams, seen };
  };
  const up = ({ client }: { client: Streams }): Promise<string | number> =>
    new Promise((resolve) => {
      const call = client.up((error, reply) =>
        resolve(error === null ? (reply as { count: number }).count : (grpc.status[error.code] as string)),
      );
      call.on('error', () => {});
      for (let i = 0; i < 5; i++) call.write(message(i));
      call.end();
    });
  /** How many messages came, and the status at the end. */
  const received = (call: grpc.ClientReadableStream<unknown>): Promise<[number, string]> =>
    new Promise((resolve) => {
      let count = 0;
      call.on('data', () => count++);
      call.on('error', () => {});
      call.on('status', ({ code }) => resolve([count, grpc.status[code] as string]));
    });
  const both = ({ client }: { client: Streams }): Promise<[number, string]> => {
    const call = client.both();
    const all = received(call);
    for (let i = 0; i < 3; i++) call.write(message(i));
    call.end();
    return all;
  };

  test('an abort ends each kind of call with its status, and nothing is sent', async () => {
    const opened = await open('abort: { grpcStatus: PERMISSION_DENIED }');
    expect(await up(opened)).toBe('PERMISSION_DENIED');
    expect(await received(opened.client.down({}))).toEqual([0, 'PERMISSION_DENIED']);
    expect(await both(opened)).toEqual([0, 'PERMISSION_DENIED']);
    expect(opened.seen.calls).toBe(0);
  });

  test('a delay comes before the first message, and then all of them arrive', async () => {
    const opened = await open('delay: { fixedDelay: 20ms }');
    expect(await up(opened)).toBe(5);
    expect(await received(opened.client.down({}))).toEqual([MESSAGES, 'OK']);
    expect(await both(opened)).toEqual([3, 'OK']);
  });

  test('a reply that is truncated breaks off between messages or in one, with UNAVAILABLE', async () => {
    const opened = await open('truncate: { afterBytes: 5000 }');
    const [count, status] = await received(opened.client.down({}));
    expect([count <= 4, status]).toEqual([true, 'UNAVAILABLE']);
    // What is shorter is whole.
    expect(await up(opened)).toBe(5);
  });

  test('a throttled reply is whole, messages cut anywhere, and has its trailers', async () => {
    const opened = await open('throttle: { bytesPerSecond: 100000 }');
    expect(await received(opened.client.down({}))).toEqual([MESSAGES, 'OK']);
    expect(await both(opened)).toEqual([3, 'OK']);
  });
});

describe('an upload by fetch', () => {
  const open = async (policy: string) => {
    const server = http.createServer((request, response) => {
      request.resume();
      request.on('end', () => response.end('served'));
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    opened.push(() => {
      server.close();
      server.closeAllConnections();
    });
    const { port } = server.address() as AddressInfo;
    const service = serviceYaml('streams', `endpoints: ["127.0.0.1:${port}"]`);
    const chaos = requestPolicyYaml('FaultPolicy', 'chaos', 'kind: Service, name: streams', policy);
    const carrier = await openCarrier('embedded', service + chaos);
    opened.push(() => carrier.close());
    return carrier.mesh;
  };
  const upload = (chunks: number) => {
    const state = { pulled: 0, cancelled: false };
    const body = new ReadableStream<Uint8Array>({
      pull(controller) {
        if (state.pulled++ === chunks) controller.close();
        else controller.enqueue(new Uint8Array(1_000));
      },
      cancel() {
        state.cancelled = true;
      },
    });
    return { state, body };
  };
  const init = (body: ReadableStream<Uint8Array>) => ({ method: 'POST', body, duplex: 'half' }) as const;

  test('that is aborted is let go of', async () => {
    const mesh = await open('abort: { httpStatus: 503 }');
    const { state, body } = upload(1_000_000);
    const response = await mesh.fetch('http://streams/', init(body));
    expect([response.status, await response.text()]).toEqual([503, 'aborted on purpose (fault injection)\n']);
    await expect.poll(() => state.cancelled).toBe(true);
  });

  test('that is held up arrives whole', async () => {
    const mesh = await open('delay: { fixedDelay: 20ms }');
    const { body } = upload(100);
    const response = await mesh.fetch('http://streams/', init(body));
    expect(await response.text()).toBe('served');
  });
});
