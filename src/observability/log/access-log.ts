import { createWriteStream } from 'node:fs';
import type { Clock } from '../../core/clock.js';
import type { Logger } from '../../core/log.js';
import type { Finished } from '../../core/meter.js';
import { type AccessLogEntry, accessLogEntry, accessLogLine } from './entry.js';
import { LineWriter } from './line-writer.js';

/**
 * `true`: JSON lines on standard output. A path: the same, appended to that file. A function: gets every line, without its line end, and
 * the entry that it was made from, in the turn in which the call ends. `false` or undefined: none.
 */
export type AccessLogTarget = boolean | string | ((line: string, entry: AccessLogEntry) => void);

export interface AccessLog {
  /** Must not throw, and does not wait. */
  write(finished: Finished): void;
  /** Lines lost: the file or the pipe did not keep up, or the function threw. */
  readonly dropped: number;
  close(): Promise<void>;
}

export interface AccessLogOptions {
  readonly target: AccessLogTarget | undefined;
  /** Name of this workload. */
  readonly source: string;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** The access log; undefined when there is none to keep. */
export function createAccessLog(options: AccessLogOptions): AccessLog | undefined {
  const { target } = options;
  if (target === undefined || target === false) return undefined;
  return typeof target === 'function' ? new FunctionLog(target, options) : new LineLog(target, options);
}

class FunctionLog implements AccessLog {
  dropped = 0;
  constructor(
    private readonly take: (line: string, entry: AccessLogEntry) => void,
    private readonly options: AccessLogOptions,
  ) {}

  write(finished: Finished): void {
    try {
      const entry = accessLogEntry(finished, this.options.source, this.options.clock.wallTime());
      this.take(accessLogLine(entry), entry);
    } catch (error) {
      this.dropped++;
      this.options.logger.warn('the accessLog function threw: its entry is lost', { error: String(error) });
    }
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}

class LineLog implements AccessLog {
  readonly #writer: LineWriter;

  constructor(
    target: true | string,
    private readonly options: AccessLogOptions,
  ) {
    this.#writer = new LineWriter(target === true ? { write: writeStdout } : this.#openFile(target), options.clock);
  }

  get dropped(): number {
    return this.#writer.dropped;
  }

  write(finished: Finished): void {
    const entry = accessLogEntry(finished, this.options.source, this.options.clock.wallTime());
    this.#writer.write(`${accessLogLine(entry)}\n`);
  }

  close(): Promise<void> {
    return this.#writer.close();
  }

  #openFile(path: string) {
    const stream = createWriteStream(path, { flags: 'a' });
    let broken: Error | undefined;
    // Reported once; each write after that fails by its own callback, and its lines are counted as dropped.
    stream.on('error', (error) => {
      if (broken === undefined) {
        this.options.logger.error('the access log cannot be written: check accessLog', { path, error: String(error) });
      }
      broken = error;
    });
    return {
      write: (text: string, done: (error?: Error | null) => void) =>
        broken === undefined ? stream.write(text, done) : done(broken),
      end: (done: () => void) => {
        if (broken !== undefined || stream.destroyed) return done();
        stream.once('close', done);
        stream.end();
      },
    };
  }
}

const writeStdout = (text: string, done: (error?: Error | null) => void): boolean => process.stdout.write(text, done);
