import { once } from 'node:events';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import * as grpc from '@grpc/grpc-js';

const toJson = (value: unknown): Buffer => Buffer.from(JSON.stringify(value));
const fromJson = (bytes: Buffer): Record<string, unknown> => JSON.parse(bytes.toString()) as Record<string, unknown>;

/** A gRPC service without .proto: messages are JSON. */
export const ECHO: grpc.ServiceDefinition = {
  get: {
    path: '/test.Echo/Get',
    requestStream: false,
    responseStream: false,
    requestSerialize: toJson,
    requestDeserialize: fromJson,
    responseSerialize: toJson,
    responseDeserialize: fromJson,
  },
};

/** What each request asks of the backend, in its header `x-behave`. */
export type Behaviour = 'answer' | 'hang' | 'fail';

/** One instance of a service, with the same behaviour over HTTP and over gRPC; says who it is in every answer. */
export class Backend {
  /** Requests that arrived, by protocol-neutral view. */
  readonly seen: { readonly headers: Readonly<Record<string, unknown>> }[] = [];
  private constructor(
    readonly id: string,
    readonly httpPort: number,
    readonly grpcPort: number,
    private readonly web: http.Server,
    private readonly rpc: grpc.Server,
  ) {}

  static async start(id: string): Promise<Backend> {
    const web = http.createServer((request, response) => {
      backend.seen.push({ headers: request.headers });
      if (request.headers['x-behave'] === 'hang') return;
      if (request.headers['x-behave'] === 'fail') response.statusCode = 503;
      response.setHeader('content-type', 'application/json');
      response.end(JSON.stringify({ id }));
    });
    web.listen(0, '127.0.0.1');
    await once(web, 'listening');
    const rpc = new grpc.Server();
    rpc.addService(ECHO, {
      get: (call: grpc.ServerUnaryCall<unknown, unknown>, done: grpc.sendUnaryData<unknown>) => {
        const headers = call.metadata.getMap();
        backend.seen.push({ headers });
        if (headers['x-behave'] === 'fail') done({ code: grpc.status.UNAVAILABLE, details: 'as asked' });
        else if (headers['x-behave'] !== 'hang') done(null, { id });
      },
    });
    const grpcPort = await new Promise<number>((resolve, reject) => {
      rpc.bindAsync('127.0.0.1:0', grpc.ServerCredentials.createInsecure(), (error, port) =>
        error === null ? resolve(port) : reject(error),
      );
    });
    const backend = new Backend(id, (web.address() as AddressInfo).port, grpcPort, web, rpc);
    return backend;
  }

  /** Ends when every request under way has been answered; new ones are refused. */
  async drain(): Promise<void> {
    await Promise.all([
      new Promise<void>((resolve) => {
        this.web.close(() => resolve());
        this.web.closeIdleConnections();
      }),
      new Promise<void>((resolve) => this.rpc.tryShutdown(() => resolve())),
    ]);
  }

  kill(): void {
    this.web.close();
    this.web.closeAllConnections();
    this.rpc.forceShutdown();
  }
}
