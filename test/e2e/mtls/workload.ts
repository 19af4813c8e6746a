/**
 * One workload of the quick start as a process of its own: a server that says who called it, and calls of others on request. Started with its name, and the
 * options of its mesh as JSON; the port it is given comes from the configuration.
 */
import { createServer } from 'node:http';
import { type MeshOptions, meshClient } from '../../../src/index.js';

export interface Start {
  readonly service: string;
  readonly mesh: MeshOptions;
  /** `127.0.0.1:port` to serve on; undefined: it calls only. */
  readonly serve: string | undefined;
}

export type Ask =
  | { readonly fetch: string }
  | { readonly identity: true }
  | { readonly wallTime: true }
  | { readonly close: true };

const { service, mesh: options, serve } = JSON.parse(process.argv[2] as string) as Start;
const mesh = meshClient({ ...options, service });
const server = createServer((_, res) => res.end(mesh.peer()?.spiffeId ?? 'nobody'));
if (serve !== undefined) await (await mesh.serve(server, { address: serve, service })).ready();
await mesh.ready();
process.send?.('ready');

process.on('message', (ask: Ask) => {
  if ('close' in ask) void close();
  else
    answer(ask).then(
      (reply) => process.send?.({ reply }),
      (error: Error) => process.send?.({ error: `${error.message}: ${String(error.cause)}` }),
    );
});

async function answer(ask: Exclude<Ask, { readonly close: true }>): Promise<unknown> {
  if ('wallTime' in ask) return Date.now();
  return 'fetch' in ask ? (await mesh.fetch(ask.fetch)).text() : mesh.identity();
}

async function close(): Promise<void> {
  await mesh.close();
  server.close();
  process.disconnect();
}
