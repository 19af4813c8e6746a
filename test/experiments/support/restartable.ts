import { EventEmitter, once } from 'node:events';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import * as grpc from '@grpc/grpc-js';
import { ECHO } from '../../e2e/support/backend.js';

/** One instance of a service that can be stopped and started again on its port, as a deployment does: it takes no more connections, and ends what it has. */
export abstract class Restartable {
  port = 0;
  /** Emits `call` for each. */
  readonly calls = new EventEmitter();

  abstract start(): Promise<void>;
  abstract drain(): Promise<void>;
  abstract kill(): void;

  /** Resolves when the first call after its return has come. */
  async restart(): Promise<void> {
    await this.drain();
    await this.start();
    await once(this.calls, 'call');
  }
}

export class RestartableHttp extends Restartable {
  #server = http.createServer();

  async start(): Promise<void> {
    const server = http.createServer((_, response) => {
      this.calls.emit('call');
      if (!server.listening) response.setHeader('connection', 'close');
      response.setHeader('content-type', 'application/json');
      response.end('{"id":"well"}');
    });
    this.#server = server;
    server.listen(this.port, '127.0.0.1');
    await once(server, 'listening');
    this.port = (server.address() as AddressInfo).port;
  }

  drain(): Promise<void> {
    return new Promise((resolve) => {
      this.#server.close(() => resolve());
      this.#server.closeIdleConnections();
    });
  }

  kill(): void {
    this.#server.close();
    this.#server.closeAllConnections();
  }
}

export class RestartableGrpc extends Restartable {
  #server = new grpc.Server();

  async start(): Promise<void> {
    const server = new grpc.Server();
    this.#server = server;
    server.addService(ECHO, {
      get: (_: unknown, done: grpc.sendUnaryData<unknown>) => {
        this.calls.emit('call');
        done(null, { id: 'well' });
      },
    });
    this.port = await new Promise<number>((resolve, reject) => {
      server.bindAsync(`127.0.0.1:${this.port}`, grpc.ServerCredentials.createInsecure(), (error, port) =>
        error === null ? resolve(port) : reject(error),
      );
    });
  }

  drain(): Promise<void> {
    return new Promise((resolve) => this.#server.tryShutdown(() => resolve()));
  }

  kill(): void {
    this.#server.forceShutdown();
  }
}
