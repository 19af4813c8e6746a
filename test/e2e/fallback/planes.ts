import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { createServer, type Http2Server, type ServerHttp2Session, type ServerHttp2Stream } from 'node:http2';
import { createServer as createTcp, type AddressInfo, type Socket } from 'node:net';
import { join } from 'node:path';
import { type ControlPlane, startControlPlane } from '../../../src/controlplane/index.js';
import type { Resource } from '../../../src/core/resources.js';
import { compiled } from '../../support/compiled.js';
import { ownPort } from '../../support/ports.js';
import { type Hosts, resourcesFor } from './hosts.js';

/** Where something listens that can be closed, and opened again in the same place. */
export interface Listening {
  readonly port: number;
  close(): Promise<void> | void;
}

/** Our control plane, in this process. */
export interface Plane extends Listening {
  /** Streams that clients have open. */
  readonly clients: number;
  /** Serves other hosts from now on; `hcm` are fields for their connection managers. */
  serve(hosts: Hosts, hcm?: Resource): void;
}

export async function plane(hosts: Hosts, at?: number, hcm: Resource = {}): Promise<Plane> {
  const port = at ?? (await ownPort());
  const running: ControlPlane = await startControlPlane({
    resources: resourcesFor(hosts, hcm),
    listen: `127.0.0.1:${port}`,
    debounce: { quietMs: 1, maxMs: 10 },
  });
  return {
    port: running.port,
    get clients() {
      return running.status().clients;
    },
    serve: (next, fields) => running.update(resourcesFor(next, fields)),
    close: () => running.close(),
  };
}

/** Our control plane, in a process of its own: `close` kills it. */
export async function planeProcess(hosts: Hosts, at?: number): Promise<Listening & { serve(hosts: Hosts): void }> {
  const port = at ?? (await ownPort());
  const program = await compiled(join(import.meta.dirname, 'plane.ts'));
  const child: ChildProcess = fork(program, [JSON.stringify(hosts), `127.0.0.1:${port}`], {
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  });
  const [bound] = (await once(child, 'message')) as [number];
  return {
    port: bound,
    serve: (next) => child.send(next),
    async close() {
      if (child.exitCode !== null || child.signalCode !== null) return;
      child.kill('SIGKILL');
      await once(child, 'exit');
    },
  };
}

/** Where something is dead from the start. */
export const deadPort = (): Promise<number> => ownPort();

/** Takes connections, and never says a word. */
export function blackHole(port?: number): Promise<Listening> {
  return listening(createTcp(), port);
}

/** Speaks gRPC, whatever the method, and is no help. */
export interface BadPlane extends Listening {
  /** Streams that were opened so far. */
  readonly streams: number;
}

/** What it does with each stream. */
export type Behaviour =
  /** Says nothing. */
  | { readonly kind: 'silent' }
  /** Ends it with a gRPC status. */
  | { readonly kind: 'status'; readonly code: number }
  /** Sends a message that is none. */
  | { readonly kind: 'noise' };

export async function badPlane(behaviour: Behaviour, port?: number): Promise<BadPlane> {
  let streams = 0;
  const server: Http2Server = createServer();
  server.on('stream', (stream) => {
    streams++;
    stream.on('error', () => {});
    behave(stream, behaviour);
  });
  const bound = await listening(server, port);
  return {
    port: bound.port,
    get streams() {
      return streams;
    },
    close: bound.close,
  };
}

function behave(stream: ServerHttp2Stream, behaviour: Behaviour): void {
  const headers = { ':status': 200, 'content-type': 'application/grpc' };
  if (behaviour.kind === 'status') stream.respond({ ...headers, 'grpc-status': behaviour.code }, { endStream: true });
  if (behaviour.kind === 'noise') {
    stream.respond(headers);
    stream.write(Buffer.from([0, 0, 0, 0, 3, 0xff, 0xff, 0xff]));
  }
}

/** Listens, and cuts every connection when it is closed. */
async function listening(server: ReturnType<typeof createTcp> | Http2Server, at?: number): Promise<Listening> {
  const port = at ?? (await ownPort());
  const connections = new Set<Socket | ServerHttp2Session>();
  const keep = (connection: Socket | ServerHttp2Session): void => {
    connections.add(connection);
    connection.on('error', () => {});
    connection.once('close', () => connections.delete(connection));
  };
  server.on('connection', keep);
  server.on('session', keep);
  server.listen(port, '127.0.0.1');
  await once(server, 'listening');
  return {
    port: (server.address() as AddressInfo).port,
    async close() {
      if (!server.listening) return;
      const closed = once(server, 'close');
      server.close();
      for (const connection of connections) connection.destroy();
      await closed;
    },
  };
}
