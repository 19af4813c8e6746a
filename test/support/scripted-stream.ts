import * as grpc from '@grpc/grpc-js';
import { Mailbox } from './mailbox.js';

/** One stream as a server has it that does what a test tells it. Requests are kept until they are asked for, in order. */
export class ServerStream<Request, Response> {
  readonly #requests = new Mailbox<Request>();
  readonly ended: Promise<void>;

  constructor(private readonly call: grpc.ServerDuplexStream<Request, Response | Buffer>) {
    call.on('data', (request: Request) => this.#requests.put(request));
    call.on('error', () => {});
    this.ended = new Promise((resolve) => {
      call.on('cancelled', () => resolve());
      call.on('end', () => resolve());
    });
  }

  /** Requests that have arrived and nobody has looked at. */
  get unread(): number {
    return this.#requests.size;
  }

  next(): Promise<Request> {
    return this.#requests.take();
  }

  /** A message, or bytes that pretend to be one. */
  send(response: Response | Buffer): void {
    this.call.write(response);
  }

  /** Ends it with OK. */
  end(): void {
    this.call.end();
  }

  fail(code: grpc.status, details: string): void {
    this.call.emit('error', { code, details });
  }
}

/** Resolves with the port. */
export function listen(
  server: grpc.Server,
  port: number,
  credentials = grpc.ServerCredentials.createInsecure(),
): Promise<number> {
  return new Promise((resolve, reject) => {
    server.bindAsync(`127.0.0.1:${port}`, credentials, (error, bound) => {
      if (error === null) resolve(bound);
      else reject(error);
    });
  });
}
