import {
  type ChannelOptions,
  type Client,
  credentials,
  Metadata,
  type ServiceError,
  type StatusObject,
  status,
} from '@grpc/grpc-js';
import type { Channel } from '@grpc/grpc-js/build/src/channel.js';
import { expect } from 'vitest';
import { TestService, UnimplementedService } from './servers.js';
import type { Tapped } from './tap.js';

/** Opens a channel under test; `tapped` sees the wire below it. */
export type OpenChannel = (options?: Partial<ChannelOptions>) => { readonly channel: Channel; readonly tapped: Tapped };

export interface InteropCase {
  readonly name: string;
  run(open: OpenChannel): Promise<void>;
}

const LARGE_REQUEST = 271_828;
const LARGE_REPLY = 314_159;
const REQUESTS = [27_182, 8, 1_828, 45_904];
const REPLIES = [31_415, 9, 2_653, 58_979];
/** `grpc.default_compression_algorithm`: gzip. */
const GZIP = { 'grpc.default_compression_algorithm': 2 } as const;

// The generated clients are made from the .proto at run time, so their methods are found by name.
type Stream = NodeJS.ReadWriteStream & { cancel(): void; getPeer(): string };
type Methods = Record<string, (...args: unknown[]) => Stream>;

const clientOn = (
  channel: Channel,
  Class: typeof TestService | typeof UnimplementedService = TestService,
): Client & Methods =>
  new Class('unused', credentials.createInsecure(), { channelOverride: channel }) as unknown as Client & Methods;

interface UnaryResult {
  readonly reply: Record<string, unknown> | undefined;
  readonly error: ServiceError | undefined;
  readonly metadata: Metadata | undefined;
  readonly status: StatusObject;
}

function unary(client: Methods, method: string, request: object, ...more: unknown[]): Promise<UnaryResult> {
  return new Promise((resolve) => {
    let metadata: Metadata | undefined;
    let result: { reply: Record<string, unknown> | undefined; error: ServiceError | undefined } | undefined;
    const call = (client[method] as Methods[string]).call(
      client,
      request,
      ...more,
      (error: ServiceError | null, reply: Record<string, unknown>) => {
        result = { reply, error: error ?? undefined };
      },
    );
    call.on('metadata', (received: Metadata) => {
      metadata = received;
    });
    call.on('status', (final: StatusObject) =>
      resolve({ ...(result as NonNullable<typeof result>), metadata, status: final }),
    );
  });
}

const bodyLength = (reply: unknown): number => (reply as { payload: { body: Buffer } }).payload.body.length;

interface StreamResult {
  readonly sizes: number[];
  readonly status: StatusObject;
  readonly metadata: Metadata | undefined;
}

function drain(stream: Stream, each: (size: number, count: number) => void = () => {}): Promise<StreamResult> {
  return new Promise((resolve) => {
    const sizes: number[] = [];
    let metadata: Metadata | undefined;
    stream.on('metadata', (received: Metadata) => {
      metadata = received;
    });
    stream.on('data', (reply: unknown) => {
      sizes.push(bodyLength(reply));
      each(bodyLength(reply), sizes.length);
    });
    stream.on('error', () => {});
    stream.on('status', (final: StatusObject) => resolve({ sizes, status: final, metadata }));
  });
}

const duplex = (client: Methods, ...args: unknown[]): Stream =>
  (client['FullDuplexCall'] as Methods[string]).call(client, ...args);
const request = (size: number, reply: number): object => ({
  response_parameters: [{ size: reply }],
  payload: { body: Buffer.alloc(size) },
});
const write = (stream: Stream, message: object): boolean => stream.write(message as unknown as string);

/** grpc/doc/interop-test-descriptions.md, one entry a case. */
export const interopCases: InteropCase[] = [
  {
    name: 'empty_unary',
    async run(open) {
      const { error, reply } = await unary(clientOn(open().channel), 'EmptyCall', {});
      expect(error).toBeUndefined();
      expect(reply).toEqual({});
    },
  },
  {
    name: 'large_unary',
    async run(open) {
      const { error, reply } = await unary(clientOn(open().channel), 'UnaryCall', {
        response_size: LARGE_REPLY,
        payload: { body: Buffer.alloc(LARGE_REQUEST) },
      });
      expect(error).toBeUndefined();
      expect(bodyLength(reply)).toBe(LARGE_REPLY);
    },
  },
  {
    name: 'client_streaming',
    async run(open) {
      const client = clientOn(open().channel);
      const size = await new Promise((resolve, reject) => {
        const stream = (client['StreamingInputCall'] as Methods[string]).call(
          client,
          (error: ServiceError | null, reply: Record<string, unknown>) =>
            error === null ? resolve(reply['aggregated_payload_size']) : reject(error),
        );
        for (const each of REQUESTS) write(stream, { payload: { body: Buffer.alloc(each) } });
        stream.end();
      });
      expect(size).toBe(74_922);
    },
  },
  {
    name: 'server_streaming',
    async run(open) {
      const client = clientOn(open().channel);
      const parameters = REPLIES.map((size) => ({ size }));
      const { sizes, status: final } = await drain(
        (client['StreamingOutputCall'] as Methods[string]).call(client, { response_parameters: parameters }),
      );
      expect(sizes).toEqual(REPLIES);
      expect(final.code).toBe(status.OK);
    },
  },
  {
    name: 'ping_pong',
    async run(open) {
      const stream = duplex(clientOn(open().channel));
      let next = 0;
      const ping = (): void => {
        if (next === REQUESTS.length) stream.end();
        else write(stream, request(REQUESTS[next] as number, REPLIES[next++] as number));
      };
      ping();
      const { sizes, status: final } = await drain(stream, ping);
      expect(sizes).toEqual(REPLIES);
      expect(final.code).toBe(status.OK);
    },
  },
  {
    name: 'empty_stream',
    async run(open) {
      const stream = duplex(clientOn(open().channel));
      stream.end();
      const { sizes, status: final } = await drain(stream);
      expect(sizes).toEqual([]);
      expect(final.code).toBe(status.OK);
    },
  },
  {
    name: 'status_code_and_message',
    async run(open) {
      const client = clientOn(open().channel);
      const echo = { response_status: { code: 2, message: 'test status message' } };
      const { error } = await unary(client, 'UnaryCall', echo);
      expect(error).toMatchObject({ code: status.UNKNOWN, details: 'test status message' });
      const stream = duplex(client);
      write(stream, echo);
      stream.end();
      expect((await drain(stream)).status).toMatchObject({ code: status.UNKNOWN, details: 'test status message' });
    },
  },
  {
    name: 'special_status_message',
    async run(open) {
      const message = '\t\ntest with whitespace\r\nand Unicode BMP ☺ and non-BMP 😈\t\n';
      const { error } = await unary(clientOn(open().channel), 'UnaryCall', { response_status: { code: 2, message } });
      expect(error).toMatchObject({ code: status.UNKNOWN, details: message });
    },
  },
  {
    name: 'unimplemented_method',
    async run(open) {
      const { error } = await unary(clientOn(open().channel), 'UnimplementedCall', {});
      expect(error?.code).toBe(status.UNIMPLEMENTED);
    },
  },
  {
    name: 'unimplemented_service',
    async run(open) {
      const { error } = await unary(clientOn(open().channel, UnimplementedService), 'UnimplementedCall', {});
      expect(error?.code).toBe(status.UNIMPLEMENTED);
    },
  },
  {
    name: 'cancel_after_begin',
    async run(open) {
      const client = clientOn(open().channel);
      const error = await new Promise<ServiceError>((resolve) => {
        const stream = (client['StreamingInputCall'] as Methods[string]).call(client, resolve);
        stream.cancel();
      });
      expect(error.code).toBe(status.CANCELLED);
    },
  },
  {
    name: 'cancel_after_first_response',
    async run(open) {
      const stream = duplex(clientOn(open().channel));
      write(stream, request(27_182, 31_415));
      const { sizes, status: final } = await drain(stream, () => stream.cancel());
      expect(sizes).toEqual([31_415]);
      expect(final.code).toBe(status.CANCELLED);
    },
  },
  {
    name: 'timeout_on_sleeping_server',
    async run(open) {
      const stream = duplex(clientOn(open().channel), { deadline: new Date(Date.now() + 50) });
      write(stream, {
        response_parameters: [{ size: 31_415, interval_us: 5_000_000 }],
        payload: { body: Buffer.alloc(27_182) },
      });
      expect((await drain(stream)).status.code).toBe(status.DEADLINE_EXCEEDED);
    },
  },
  {
    name: 'custom_metadata',
    async run(open) {
      const client = clientOn(open().channel);
      const metadata = new Metadata();
      metadata.set('x-grpc-test-echo-initial', 'test_initial_metadata_value');
      metadata.set('x-grpc-test-echo-trailing-bin', Buffer.from([0xab, 0xab, 0xab]));
      const check = (head: Metadata | undefined, trailers: Metadata): void => {
        expect(head?.get('x-grpc-test-echo-initial')).toEqual(['test_initial_metadata_value']);
        expect(trailers.get('x-grpc-test-echo-trailing-bin')).toEqual([Buffer.from([0xab, 0xab, 0xab])]);
      };
      const result = await unary(
        client,
        'UnaryCall',
        { response_size: LARGE_REPLY, payload: { body: Buffer.alloc(LARGE_REQUEST) } },
        metadata,
      );
      expect(result.error).toBeUndefined();
      check(result.metadata, result.status.metadata);
      const stream = duplex(client, metadata);
      write(stream, request(LARGE_REQUEST, LARGE_REPLY));
      stream.end();
      const streamed = await drain(stream);
      expect(streamed.sizes).toEqual([LARGE_REPLY]);
      check(streamed.metadata, streamed.status.metadata);
    },
  },
  {
    name: 'client_compressed_unary',
    async run(open) {
      const { channel, tapped } = open(GZIP);
      const { error, reply } = await unary(clientOn(channel), 'UnaryCall', {
        expect_compressed: { value: true },
        response_size: LARGE_REPLY,
        payload: { body: Buffer.alloc(LARGE_REQUEST) },
      });
      expect(error).toBeUndefined();
      expect(bodyLength(reply)).toBe(LARGE_REPLY);
      expect(tapped.requestEncoding).toBe('gzip');
      expect(tapped.sent).toEqual([true]);
      const plain = open();
      const second = await unary(clientOn(plain.channel), 'UnaryCall', {
        expect_compressed: { value: false },
        response_size: LARGE_REPLY,
      });
      expect(bodyLength(second.reply)).toBe(LARGE_REPLY);
      expect(plain.tapped.sent).toEqual([false]);
    },
  },
  {
    name: 'client_compressed_streaming',
    async run(open) {
      const { channel, tapped } = open(GZIP);
      const client = clientOn(channel);
      const size = await new Promise((resolve, reject) => {
        const stream = (client['StreamingInputCall'] as Methods[string]).call(
          client,
          (error: ServiceError | null, reply: Record<string, unknown>) =>
            error === null ? resolve(reply['aggregated_payload_size']) : reject(error),
        ) as Stream & { write(message: unknown, flags: unknown): boolean };
        stream.write({ expect_compressed: { value: true }, payload: { body: Buffer.alloc(27_182) } }, 0);
        // WriteFlags.NoCompress: one message of the stream goes as it is.
        stream.write({ expect_compressed: { value: false }, payload: { body: Buffer.alloc(45_904) } }, 2);
        stream.end();
      });
      expect(size).toBe(73_086);
      expect(tapped.requestEncoding).toBe('gzip');
      expect(tapped.sent).toEqual([true, false]);
    },
  },
];

/** For servers that can compress replies: grpc-js's cannot ("response compression is currently not supported", server-interceptors.ts). */
export const compressedReplyCases: InteropCase[] = [
  {
    name: 'server_compressed_unary',
    async run(open) {
      const { channel, tapped } = open();
      const client = clientOn(channel);
      const first = await unary(client, 'UnaryCall', {
        response_compressed: { value: true },
        response_size: LARGE_REPLY,
        payload: { body: Buffer.alloc(LARGE_REQUEST) },
      });
      expect(bodyLength(first.reply)).toBe(LARGE_REPLY);
      expect(tapped.replyEncoding).toBe('gzip');
      expect(tapped.received).toEqual([true]);
      const second = await unary(client, 'UnaryCall', {
        response_compressed: { value: false },
        response_size: LARGE_REPLY,
      });
      expect(bodyLength(second.reply)).toBe(LARGE_REPLY);
      expect(tapped.received).toEqual([true, false]);
    },
  },
  {
    name: 'server_compressed_streaming',
    async run(open) {
      const { channel, tapped } = open();
      const client = clientOn(channel);
      const parameters = [
        { size: 31_415, compressed: { value: true } },
        { size: 92_653, compressed: { value: false } },
      ];
      const { sizes, status: final } = await drain(
        (client['StreamingOutputCall'] as Methods[string]).call(client, { response_parameters: parameters }),
      );
      expect(final.code).toBe(status.OK);
      expect(sizes).toEqual([31_415, 92_653]);
      expect(tapped.received).toEqual([true, false]);
    },
  },
];
