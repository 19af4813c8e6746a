import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import {
  loadPackageDefinition,
  Metadata,
  Server,
  ServerCredentials,
  type ServerDuplexStream,
  type ServerReadableStream,
  type ServerUnaryCall,
  type ServerWritableStream,
  type sendUnaryData,
  type ServiceClientConstructor,
} from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';

const HERE = fileURLToPath(new URL('.', import.meta.url));
const definition = loadSync(`${HERE}test.proto`, { keepCase: true, defaults: true });
const { grpc } = loadPackageDefinition(definition) as unknown as {
  grpc: { testing: { TestService: ServiceClientConstructor; UnimplementedService: ServiceClientConstructor } };
};
export const { TestService, UnimplementedService } = grpc.testing;

export interface InteropServer {
  readonly port: number;
  close(): Promise<void>;
}

interface Parameters {
  size: number;
  interval_us: number;
}
interface Request {
  response_size: number;
  response_status: { code: number; message: string } | null;
  response_parameters: Parameters[];
  payload: { body: Buffer } | null;
}

const INITIAL = 'x-grpc-test-echo-initial';
const TRAILING = 'x-grpc-test-echo-trailing-bin';

function echoInitial(call: { metadata: Metadata; sendMetadata(metadata: Metadata): void }): void {
  const [value] = call.metadata.get(INITIAL);
  if (value === undefined) return;
  const metadata = new Metadata();
  metadata.set(INITIAL, value);
  call.sendMetadata(metadata);
}

function trailing(call: { metadata: Metadata }): Metadata {
  const metadata = new Metadata();
  const [value] = call.metadata.get(TRAILING);
  if (value !== undefined) metadata.set(TRAILING, value);
  return metadata;
}

const payload = (size: number): { payload: { body: Buffer } } => ({ payload: { body: Buffer.alloc(size) } });
const wait = (us: number): Promise<void> =>
  new Promise((resolve) => (us === 0 ? resolve() : setTimeout(resolve, us / 1_000)));

/** grpc.testing.TestService on grpc-js. */
export async function grpcJsServer(): Promise<InteropServer> {
  const server = new Server();
  server.addService(TestService.service, {
    EmptyCall(call: ServerUnaryCall<object, object>, done: sendUnaryData<object>) {
      echoInitial(call);
      done(null, {}, trailing(call));
    },
    UnaryCall(call: ServerUnaryCall<Request, object>, done: sendUnaryData<object>) {
      const status = call.request.response_status;
      echoInitial(call);
      if (status !== null && status.code !== 0)
        done({ code: status.code, details: status.message }, null, trailing(call));
      else done(null, payload(call.request.response_size), trailing(call));
    },
    async StreamingOutputCall(call: ServerWritableStream<Request, object>) {
      for (const each of call.request.response_parameters) {
        await wait(each.interval_us);
        call.write(payload(each.size));
      }
      call.end();
    },
    StreamingInputCall(call: ServerReadableStream<Request, object>, done: sendUnaryData<object>) {
      let size = 0;
      call.on('data', (request: Request) => {
        size += request.payload?.body.length ?? 0;
      });
      call.on('end', () => done(null, { aggregated_payload_size: size }));
    },
    FullDuplexCall(call: ServerDuplexStream<Request, object>) {
      echoInitial(call);
      // One request after the other, as they came.
      let answered = Promise.resolve();
      const answer = async (request: Request): Promise<void> => {
        const status = request.response_status;
        if (status !== null && status.code !== 0) {
          call.emit('error', { code: status.code, details: status.message });
          return;
        }
        for (const each of request.response_parameters) {
          await wait(each.interval_us);
          call.write(payload(each.size));
        }
      };
      call.on('data', (request: Request) => {
        answered = answered.then(() => answer(request));
      });
      call.on('end', () => answered.then(() => call.end(trailing(call))));
      call.on('error', () => {});
    },
  });
  const port = await new Promise<number>((resolve, reject) =>
    server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, bound) =>
      error ? reject(error) : resolve(bound),
    ),
  );
  return {
    port,
    close: async () => server.forceShutdown(),
  };
}

/** The same on grpcio (C-core), in a process of its own. */
export async function pythonServer(python: string): Promise<InteropServer> {
  const child = spawn(python, [`${HERE}server.py`], { stdio: ['pipe', 'pipe', 'inherit'] });
  const port = await new Promise<number>((resolve, reject) => {
    let output = '';
    child.stdout.on('data', (chunk: Buffer) => {
      output += chunk.toString();
      if (output.includes('\n')) resolve(Number(output));
    });
    child.on('exit', (code) => reject(new Error(`the Python server ended with code ${code}`)));
  });
  return {
    port,
    close: async () => {
      const exit = once(child, 'exit');
      child.stdin.end();
      await exit;
    },
  };
}
