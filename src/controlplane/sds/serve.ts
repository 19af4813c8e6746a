import { chmod, mkdtemp, rename, rm, stat } from 'node:fs/promises';
import { connect } from 'node:net';
import { join } from 'node:path';
import type { IdentitySource } from '../../core/identity.js';
import type { Logger } from '../../core/log.js';
import { loadCodec } from '../../xds/wire/index.js';
import { addSecretDiscovery } from './service.js';

export interface SdsServerOptions {
  /** Path of the Unix socket; made for this user alone. */
  readonly socket: string;
  readonly source: IdentitySource;
  readonly logger: Logger;
}

export interface SdsServer {
  readonly socket: string;
  close(): Promise<void>;
}

/** Secrets for an Envoy beside this process. Whoever can open the socket gets the private key. */
export async function serveSds({ socket, source, logger }: SdsServerOptions): Promise<SdsServer> {
  const [grpc, codec] = await Promise.all([import('@grpc/grpc-js'), loadCodec()]);
  await removeStale(socket);
  const server = new grpc.Server();
  const stop = addSecretDiscovery(server, { codec, source, keys: true, logger });
  // Bound where nobody else can go, and moved from there when it is for this user alone.
  const folder = await mkdtemp(`${socket}-`);
  const bound = join(folder, 's');
  try {
    await new Promise<void>((resolve, reject) => {
      server.bindAsync(`unix:${bound}`, grpc.ServerCredentials.createInsecure(), (error) =>
        error === null
          ? resolve()
          : reject(new Error(`cannot listen on ${socket}: ${error.message}`, { cause: error })),
      );
    });
    await chmod(bound, 0o600);
    await rename(bound, socket);
  } catch (error) {
    stop();
    server.forceShutdown();
    throw error;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
  return {
    socket,
    async close() {
      stop();
      server.forceShutdown();
      await rm(socket, { force: true });
    },
  };
}

/** A socket that nobody listens on any more is what a process left that was killed. */
async function removeStale(socket: string): Promise<void> {
  const found = await stat(socket).catch(() => undefined);
  if (found === undefined) return;
  if (!found.isSocket()) throw new Error(`${socket} is there and is no socket: remove it, or name another`);
  const taken = await new Promise<boolean>((resolve) => {
    const probe = connect(socket, () => {
      probe.destroy();
      resolve(true);
    });
    probe.once('error', () => resolve(false));
  });
  if (taken) throw new Error(`${socket} is served by another process`);
  await rm(socket);
}
