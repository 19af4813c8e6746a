import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Logger, LogLevel } from '../../../src/core/log.js';
import { Backend } from '../support/backend.js';
import type { Face } from '../support/faces.js';

/** For what another party does in its own time: real files, real sockets. */
export const WAIT = { timeout: 15_000, interval: 5 };

/** What a test opened, closed in the opposite order by `afterEach`. */
export class Opened {
  readonly #closers: (() => unknown)[] = [];

  add<T>(value: T, close: (value: T) => unknown): T {
    this.#closers.push(() => close(value));
    return value;
  }

  async backend(id: string): Promise<Backend> {
    return this.add(await Backend.start(id), (backend) => backend.kill());
  }

  /** A file with `text` in a folder of its own; the result writes it anew. */
  async file(text: string): Promise<{ readonly path: string; write(text: string): Promise<void> }> {
    const folder = this.add(await mkdtemp(join(tmpdir(), 'inmesh-e2e-')), (made) => rm(made, { recursive: true }));
    const path = join(folder, 'mesh.yaml');
    await writeFile(path, text);
    return { path, write: (next) => writeFile(path, next) };
  }

  async close(): Promise<void> {
    for (const close of this.#closers.splice(0).reverse()) await close();
  }
}

export interface Load {
  /** Calls that are over. */
  readonly total: number;
  readonly answered: Set<string>;
  readonly failures: string[];
  /** No call begins any more; resolves when those under way are over. */
  stop(): Promise<void>;
}

/** Calls without pause, `workers` at a time, until it is stopped. */
export function startLoad(face: Pick<Face, 'send'>, workers = 2): Load {
  const load = { total: 0, answered: new Set<string>(), failures: [] as string[] };
  let running = true;
  const work = async (): Promise<void> => {
    while (running) {
      try {
        load.answered.add(await face.send());
      } catch (error) {
        load.failures.push(String(error));
      }
      load.total++;
      // Lets the event loop see to files and timers too.
      await new Promise((resolve) => setImmediate(resolve));
    }
  };
  const done = Promise.all(Array.from({ length: workers }, work));
  return Object.assign(load, {
    stop: async () => {
      running = false;
      await done;
    },
  });
}

export interface LogLine {
  readonly level: LogLevel;
  readonly message: string;
  readonly fields: Readonly<Record<string, unknown>>;
}

/** A logger that keeps what it is told. */
export function collectingLogger(): Logger & { readonly lines: LogLine[] } {
  const lines: LogLine[] = [];
  const at =
    (level: LogLevel) =>
    (message: string, fields: Readonly<Record<string, unknown>> = {}): void => {
      lines.push({ level, message, fields });
    };
  return { lines, debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') };
}
