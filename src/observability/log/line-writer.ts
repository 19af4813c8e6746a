import type { Clock } from '../../core/clock.js';

/** Where lines go in the end: a file's stream, standard output. */
export interface LineSink {
  /** Writes `text` and calls back once there is room for more, with an error when it is lost. */
  write(text: string, done: (error?: Error | null) => void): unknown;
  /** Ends it; undefined for one that outlives the mesh. */
  end?(done: () => void): unknown;
}

/** A buffer of this size is written at once, in characters. */
const WRITE_SIZE = 65_536;
/** Nothing waits longer, in milliseconds. */
const FLUSH_MS = 100;
/** Characters that may wait for a sink that does not keep up: then lines are dropped and counted, and calls go on. */
const MAX_WAITING = 4_194_304;

/** Collects lines and writes them in large pieces, one at a time, so that a call never waits for its log line. */
export class LineWriter {
  /** Lines lost to a slow or broken sink. */
  dropped = 0;
  #waiting: string[] = [];
  #waitingSize = 0;
  #writing: number | undefined;
  #cancelTimer: (() => void) | undefined;
  #drained: (() => void) | undefined;
  #closed: Promise<void> | undefined;

  constructor(
    private readonly sink: LineSink,
    private readonly clock: Clock,
    private readonly maxWaiting = MAX_WAITING,
  ) {}

  write(line: string): void {
    if (this.#closed !== undefined || this.#waitingSize + line.length > this.maxWaiting) {
      this.dropped++;
      return;
    }
    this.#waiting.push(line);
    this.#waitingSize += line.length;
    if (this.#waitingSize >= WRITE_SIZE) this.#flush();
    else this.#cancelTimer ??= this.clock.after(FLUSH_MS, () => this.#flush(), { background: true });
  }

  /** Writes what waits and ends the sink. Idempotent. */
  close(): Promise<void> {
    this.#closed ??= new Promise<void>((resolve) => {
      this.#drained = () => (this.sink.end === undefined ? resolve() : this.sink.end(resolve));
      if (this.#writing === undefined) this.#flush();
    });
    return this.#closed;
  }

  #flush(): void {
    this.#cancelTimer?.();
    this.#cancelTimer = undefined;
    if (this.#writing !== undefined) return;
    if (this.#waiting.length === 0) {
      this.#drained?.();
      this.#drained = undefined;
      return;
    }
    const lines = this.#waiting;
    this.#waiting = [];
    this.#waitingSize = 0;
    this.#writing = lines.length;
    this.sink.write(lines.join(''), (error) => {
      if (error) this.dropped += this.#writing ?? 0;
      this.#writing = undefined;
      if (this.#waitingSize >= WRITE_SIZE || this.#closed !== undefined) this.#flush();
    });
  }
}
