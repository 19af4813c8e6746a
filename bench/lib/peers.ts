import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

/** A server in a process of its own, so that its CPU is not counted. */
export interface Peer {
  readonly port: number;
  stop(): void;
}

export async function startPeer(kind: 'http' | 'grpc' | 'xds', ...args: string[]): Promise<Peer> {
  const script = fileURLToPath(new URL(`./peer-${kind}.mjs`, import.meta.url));
  const child: ChildProcess = fork(script, args, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
  const [message] = (await once(child, 'message')) as [{ port: number }];
  return { port: message.port, stop: () => void child.kill() };
}
