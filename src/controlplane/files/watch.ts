import { createHash } from 'node:crypto';
import { type FSWatcher, statSync, watch } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import type { Clock } from '../../core/clock.js';
import type { Logger } from '../../core/log.js';
import type { CompileOptions, CompileResult } from '../compile/compile.js';
import type { Problem } from '../yaml/problem.js';
import type { SourceFile } from '../yaml/read.js';
import { compileText } from './compile-text.js';
import { CONFIG_FILE, type Found, findFiles, readFiles } from './read.js';

/** Quiet time after a notice of the system: editors and `kubectl` make several in a row. */
const SETTLE_MS = 50;
/** A broken state must stand this long before it is told: a file that is half written is broken too. */
const CONFIRM_MS = 150;
/** Where the system gives no notice (network file systems, some containers) changes are found by looking. */
const POLL_MS = 500;

export interface WatchFilesOptions<R> {
  /** Told of the first state, good or broken, and of every later one that differs in content. */
  readonly onChange: (result: R) => void;
  readonly clock: Clock;
  readonly logger: Logger;
}

export interface WatchOptions extends Pick<CompileOptions, 'danglingBackends'>, WatchFilesOptions<CompileResult> {}

export interface ConfigWatch {
  /** Ends every timer and file handle; `onChange` is not called any more. */
  close(): void;
}

/** Makes something of files that were read, and of what is wrong with others. */
type Make<R> = (files: readonly SourceFile[], problems: readonly Problem[]) => R;

/**
 * Keeps compiling the files and folders at `paths`. It follows renames and link swaps (Kubernetes' `..data`), since it watches
 * folders and compares what it reads. Does not keep the process alive.
 */
export function watchConfig(paths: string | readonly string[], options: WatchOptions): ConfigWatch {
  const { danglingBackends } = options;
  const compiled = { ...(danglingBackends && { danglingBackends }) };
  return watchFiles(paths, (files, problems) => compileText(files, compiled, problems), options);
}

/** The same for files of another kind. */
export function watchFiles<R extends { readonly problems: readonly Problem[] }>(
  paths: string | readonly string[],
  make: Make<R>,
  options: WatchFilesOptions<R>,
): ConfigWatch {
  return new Watch((typeof paths === 'string' ? [paths] : paths).map(normalize), make, options);
}

class Watch<R extends { readonly problems: readonly Problem[] }> implements ConfigWatch {
  readonly #watchers = new Map<string, FSWatcher>();
  #closed = false;
  #cancelLook: (() => void) | undefined;
  #cancelPoll: (() => void) | undefined;
  #looking = false;
  /** A notice came while looking. */
  #again = false;
  /** What was last found, told, and seen broken but not told yet. */
  #stamps: string | undefined;
  #told: string | undefined;
  #suspect: string | undefined;

  constructor(
    private readonly paths: readonly string[],
    private readonly make: Make<R>,
    private readonly options: WatchFilesOptions<R>,
  ) {
    this.#watchFolders();
    void this.#look();
    this.#poll();
  }

  close(): void {
    this.#closed = true;
    this.#cancelLook?.();
    this.#cancelPoll?.();
    for (const watcher of this.#watchers.values()) watcher.close();
    this.#watchers.clear();
  }

  /** Folders, also for single files: one that is replaced by a rename is a new file, which a watch on the old does not see. */
  #watchFolders(): void {
    for (const path of this.paths) {
      const folder = isFolder(path) ? path : dirname(path);
      if (this.#watchers.has(folder)) continue;
      try {
        const watcher = watch(folder, { persistent: false }, (_, name) => {
          if (this.#concerns(folder, name)) this.#lookAfter(SETTLE_MS);
        });
        watcher.on('error', (error) => this.#unwatch(folder, error));
        this.#watchers.set(folder, watcher);
      } catch (error) {
        this.#unwatch(folder, error as Error);
      }
    }
  }

  /** The folder of a single file may be busy with others. A name that is not told, or begins with "..", may stand for any. */
  #concerns(folder: string, name: string | null): boolean {
    if (name === null || name.startsWith('..')) return true;
    return this.paths.some((path) => (path === folder ? CONFIG_FILE.test(name) : path === join(folder, name)));
  }

  #unwatch(folder: string, error: Error): void {
    this.#watchers.get(folder)?.close();
    this.#watchers.delete(folder);
    this.options.logger.debug('folder cannot be watched, its files are looked at instead', {
      folder,
      error: error.message,
    });
  }

  #poll(): void {
    this.#cancelPoll = this.options.clock.after(
      POLL_MS,
      () => {
        void this.#changed().then((changed) => {
          if (this.#closed) return;
          if (changed) this.#lookAfter(SETTLE_MS);
          this.#watchFolders();
          this.#poll();
        });
      },
      { background: true },
    );
  }

  async #changed(): Promise<boolean> {
    if (this.#looking || this.#cancelLook !== undefined) return false;
    return stampsOf(await findFiles(this.paths)) !== this.#stamps;
  }

  /** Looks after `delayMs`; a later call puts it off no further, so that steady writing cannot hide a change for ever. */
  #lookAfter(delayMs: number): void {
    if (this.#closed || this.#cancelLook !== undefined) return;
    this.#cancelLook = this.options.clock.after(
      delayMs,
      () => {
        this.#cancelLook = undefined;
        void this.#look();
      },
      { background: true },
    );
  }

  async #look(): Promise<void> {
    if (this.#looking) {
      this.#again = true;
      return;
    }
    this.#looking = true;
    try {
      await this.#read();
    } catch (error) {
      this.options.logger.error('configuration could not be taken over', { error: String(error) });
    } finally {
      this.#looking = false;
    }
    if (this.#again) {
      this.#again = false;
      this.#lookAfter(SETTLE_MS);
    }
  }

  async #read(): Promise<void> {
    const found = await findFiles(this.paths);
    const { files, problems } = await readFiles(found);
    const stamps = stampsOf(await findFiles(this.paths));
    if (this.#closed) return;
    // It changed under our hands: what was read may be half of one state and half of the next.
    if (stamps !== stampsOf(found)) {
      this.#lookAfter(SETTLE_MS);
      return;
    }
    this.#stamps = stamps;
    const content = createHash('sha256')
      .update(JSON.stringify([files, problems]))
      .digest('hex');
    if (content === this.#told) {
      this.#suspect = undefined;
      return;
    }
    const result = this.make(files, problems);
    const first = this.#told === undefined;
    if (result.problems.length > 0 && !first && content !== this.#suspect) {
      this.#suspect = content;
      this.#lookAfter(CONFIRM_MS);
      return;
    }
    this.#suspect = undefined;
    this.#told = content;
    this.options.onChange(result);
  }
}

function isFolder(path: string): boolean {
  try {
    return statSync(path).isDirectory();
  } catch {
    return false;
  }
}

const stampsOf = ({ files, problems }: Found): string => JSON.stringify([files, problems]);
