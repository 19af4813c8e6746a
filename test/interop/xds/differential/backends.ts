import { Server, ServerCredentials, type ServerUnaryCall, type ServiceError } from '@grpc/grpc-js';
import { FAIL, PATHS, SLEEP } from './calls.js';

export interface Backend {
  readonly port: number;
  close(): void;
}

/** Refusals so far by call, of all backends: a retry may go to another one. Both clients number their calls apart. */
export type Refusals = Map<string, number>;

/** A gRPC server whose answer is its name and which attempt of the call it was; it fails and tarries as the call asks it to. */
export async function startBackend(name: string, refused: Refusals = new Map()): Promise<Backend> {
  const server = new Server();
  const timers = new Set<NodeJS.Timeout>();
  const answer = (
    call: ServerUnaryCall<Buffer, string>,
    reply: (error: Partial<ServiceError> | null, text?: string) => void,
  ) => {
    const value = (key: string): string => String(call.metadata.get(key)[0] ?? '');
    const [count = '', code = ''] = value(FAIL).split(';');
    const id = value('x-call-id');
    const before = refused.get(id) ?? 0;
    if (count !== '' && before < Number(count)) {
      refused.set(id, before + 1);
      reply({ code: Number(code), details: 'as asked' });
      return;
    }
    const text = `${name} attempt ${Number(value('grpc-previous-rpc-attempts') || 0) + 1}`;
    const timer = setTimeout(
      () => {
        timers.delete(timer);
        reply(null, text);
      },
      Number(value(SLEEP) || 0),
    );
    timers.add(timer);
  };
  PATHS.forEach((path, i) => {
    const method = {
      path,
      requestStream: false,
      responseStream: false,
      requestSerialize: (bytes: Buffer) => bytes,
      requestDeserialize: (bytes: Buffer) => bytes,
      responseSerialize: (text: string) => Buffer.from(text),
      responseDeserialize: String,
    } as const;
    server.addService({ [`m${i}`]: method }, { [`m${i}`]: answer });
  });
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, bound) =>
      error ? reject(error) : resolve(bound),
    );
  });
  return {
    port,
    close: () => {
      for (const timer of timers) clearTimeout(timer);
      server.forceShutdown();
    },
  };
}
