import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { compiled } from '../../support/compiled.js';
import type { Ask, Start } from './workload.js';

/** A workload in a process of its own. */
export interface Workload {
  ask(ask: Ask): Promise<unknown>;
  /** All that it has printed. */
  readonly output: string;
  /** Ends in order; rejects when something keeps it alive. */
  close(): Promise<void>;
}

const NOT_INHERITED = [
  'INMESH_SERVICE',
  'INMESH_CA',
  'INMESH_JOIN_TOKEN',
  'INMESH_JOIN_TOKEN_FILE',
  'SPIFFE_ENDPOINT_SOCKET',
];

export async function startWorkload(start: Start, env: Readonly<Record<string, string>> = {}): Promise<Workload> {
  const inherited = Object.entries(process.env).filter(([name]) => !NOT_INHERITED.includes(name));
  const child = fork(await compiled(join(import.meta.dirname, 'workload.ts')), [JSON.stringify(start)], {
    env: { ...Object.fromEntries(inherited), ...env },
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
  });
  let output = '';
  for (const stream of [child.stdout, child.stderr])
    stream?.on('data', (chunk: Buffer) => {
      output += chunk.toString();
    });
  const ended = once(child, 'exit');
  const failed = ended.then(() => {
    throw new Error(`workload "${start.service}" has ended:\n${output}`);
  });
  failed.catch(() => {});
  await Promise.race([once(child, 'message'), failed]);
  return {
    ask: (ask) => Promise.race([asked(child, ask), failed]),
    get output() {
      return output;
    },
    async close() {
      if (child.exitCode === null && child.connected) child.send({ close: true });
      const killer = setTimeout(() => child.kill('SIGKILL'), 15_000);
      const [code] = (await ended) as [number | null];
      clearTimeout(killer);
      if (code !== 0) throw new Error(`workload "${start.service}" did not end by itself:\n${output}`);
    },
  };
}

async function asked(child: ChildProcess, ask: Ask): Promise<unknown> {
  const answer = once(child, 'message') as Promise<[{ reply?: unknown; error?: string }]>;
  child.send(ask);
  const [{ reply, error }] = await answer;
  if (error !== undefined) throw new Error(error);
  return reply;
}
