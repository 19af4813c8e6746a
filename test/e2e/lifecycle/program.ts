import { writeSync } from 'node:fs';
import * as grpc from '@grpc/grpc-js';
import { type MeshOptions, meshClient } from '../../../src/index.js';
import { ECHO } from '../support/backend.js';

/*
 * A program as users write it, run as a process of its own: calls before it is ready, waits, calls again, closes, and ends by itself. What
 * came of it is one line of JSON on standard output, written without a stream, which would be a handle like others.
 */

export interface Task {
  readonly options?: MeshOptions;
  /** URLs to fetch, before and after ready(). */
  readonly urls: readonly string[];
  /** Authorities to call over gRPC. */
  readonly authorities?: readonly string[];
  /** When to close: after everything, or in the middle of it. */
  readonly close: 'at the end' | 'at once' | 'under way';
}

export interface Report {
  readonly answers: readonly string[];
  readonly ready: string;
  /** Handles and requests of the event loop that were not there before the mesh. */
  readonly left: readonly string[];
}

const told = (error: unknown): string => {
  const { code, name, message } = error as { code?: string; name: string; message: string };
  return `${code ?? name}: ${message}`;
};

/** What keeps the event loop alive, without what this program does itself to look at it. */
const resources = (): string[] => process.getActiveResourcesInfo().filter((kind) => kind !== 'Immediate');

async function run({ options, urls, authorities = [], close }: Task): Promise<void> {
  const before = resources();
  const mesh = meshClient(options);
  const Echo = grpc.makeGenericClientConstructor(ECHO, 'Echo');
  const answers: Promise<string>[] = [];
  const call = (): void => {
    for (const url of urls) {
      const answer = mesh.fetch(url).then(async (response) => ((await response.json()) as { id: string }).id, told);
      answers.push(answer);
    }
    for (const authority of authorities) {
      const client = mesh.grpc(Echo, authority);
      answers.push(
        new Promise((resolve) => {
          const get = client['get'] as (
            request: unknown,
            done: (error: unknown, reply: { id: string }) => void,
          ) => void;
          get.call(client, {}, (error, reply) => resolve(error === null ? reply.id : told(error)));
        }),
      );
    }
  };
  call();
  const waited = mesh.ready().then(() => 'ready', told);
  if (close === 'at the end') {
    await Promise.all([...answers, waited]);
    call();
    await Promise.all(answers);
  } else if (close === 'under way') await Promise.race([waited, ...answers]);
  await Promise.all([mesh.close(), mesh.close()]);
  await mesh.close();
  const settled = await Promise.all(answers);
  const ready = await waited;
  const left = await leftOver(before);
  writeSync(1, `${JSON.stringify({ answers: settled, ready, left } satisfies Report)}\n`);
}

/** Sockets and files are closed by the kernel in its own time: looks until nothing is left, or two seconds have passed. */
async function leftOver(before: readonly string[]): Promise<string[]> {
  const until = performance.now() + 2_000;
  for (;;) {
    const left = resources();
    for (const kind of before) if (left.includes(kind)) left.splice(left.indexOf(kind), 1);
    if (left.length === 0 || performance.now() > until) return left;
    await new Promise((resolve) => setImmediate(resolve));
  }
}

await run(JSON.parse(process.argv[2] as string) as Task);
