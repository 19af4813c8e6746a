import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

/** A server in a process of its own, so that its CPU is not counted. */
export interface Peer {
  readonly port: number;
  /** Where the peer takes orders; -1 when it takes none. */
  readonly control: number;
  readonly pid: number | undefined;
  stop(): void;
}

export async function startPeer(
  kind: 'http' | 'grpc' | 'xds' | 'plane' | 'slow' | 'idle' | 'outage' | 'overload' | 'tls' | 'rotation',
  ...args: string[]
): Promise<Peer> {
  const script = fileURLToPath(new URL(`./peer-${kind}.mjs`, import.meta.url));
  const child: ChildProcess = fork(script, args, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
  const [message] = (await once(child, 'message')) as [{ port: number; control?: number }];
  return { port: message.port, control: message.control ?? -1, pid: child.pid, stop: () => void child.kill() };
}
