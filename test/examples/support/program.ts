import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';

export const root = join(import.meta.dirname, '..', '..', '..');

/** A program that was started as a user starts it, in a process group of its own, as a shell does. */
export class Program {
  output = '';
  readonly #child: ChildProcess;
  readonly #exited: Promise<number | null>;
  #changed: (() => void)[] = [];
  #over = false;

  constructor(command: string, args: readonly string[], env: Readonly<Record<string, string>> = {}) {
    this.#child = spawn(command, args, {
      cwd: root,
      env: { ...process.env, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
      detached: true,
    });
    for (const stream of [this.#child.stdout, this.#child.stderr]) {
      stream?.setEncoding('utf8').on('data', (text: string) => {
        this.output += text;
        this.#wake();
      });
    }
    this.#exited = once(this.#child, 'close').then(([code]) => {
      this.#over = true;
      this.#wake();
      return code as number | null;
    });
  }

  /** Resolves with what `look` finds in the output, once it finds something. Rejects when the program ends before. */
  async until<T>(what: string, look: (output: string) => T | undefined | false): Promise<T> {
    for (;;) {
      const found = look(this.output);
      if (found !== undefined && found !== false) return found;
      if (this.#over) throw new Error(`the program ended before ${what}; its output:\n${this.output}`);
      await new Promise<void>((resolve) => this.#changed.push(resolve));
    }
  }

  /** What Ctrl-C does: the terminal tells the whole group. */
  interrupt(): void {
    process.kill(-this.pid, 'SIGINT');
  }

  /** What a supervisor does: it tells the one process that it knows. */
  signal(signal: NodeJS.Signals): void {
    process.kill(this.pid, signal);
  }

  /** Resolves when the program is over and no child or grandchild holds its output any more. */
  exitCode(): Promise<number | null> {
    return this.#exited;
  }

  /** Whether a process of the group, child or grandchild, still runs. */
  get left(): boolean {
    try {
      return process.kill(-this.pid, 0);
    } catch {
      return false;
    }
  }

  /** Whatever became of the test. */
  async kill(): Promise<void> {
    if (this.left) process.kill(-this.pid, 'SIGKILL');
    await this.#exited;
  }

  get pid(): number {
    if (this.#child.pid === undefined) throw new Error('the program could not be started');
    return this.#child.pid;
  }

  #wake(): void {
    for (const wake of this.#changed.splice(0)) wake();
  }
}
