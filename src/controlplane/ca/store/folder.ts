import { type FSWatcher, watch } from 'node:fs';
import { join } from 'node:path';
import type { Clock } from '../../../core/clock.js';
import type { Logger } from '../../../core/log.js';
import { CaError } from '../errors.js';
import { type AuditEvent, AuditLog } from './audit.js';
import { privateDirectory, readIfThere, writeAtomically } from './files.js';
import { type IssuedRecord, IssuedLog } from './issued.js';
import { KeyFolder } from './keys.js';
import { locked } from './lock.js';
import { type CaState, isRevokedIn, keptFrom, parseState, STATE_FILE } from './state.js';

/** How often the state is looked at where the system tells of no changes, in milliseconds: a revocation is to be known everywhere within a second. */
const LOOK_MS = 500;

/** What one holder of the lock may do; written together at its end. */
export interface Turn {
  readonly audit: (event: AuditEvent) => void;
  readonly issued: (record: IssuedRecord) => void;
  /** By now, whichever process did it. */
  readonly isRevoked: (serial: string) => boolean;
}

/** The authority's folder, shared by all processes of this user that name it: state, keys, and logs. One writes at a time; all see it at once. */
export class CaFolder {
  readonly keys: KeyFolder;
  readonly issuedLog: IssuedLog;
  readonly #auditLog: AuditLog;
  readonly #file: string;
  #state: CaState | undefined;
  #watcher: FSWatcher | undefined;
  #cancelLook: (() => void) | undefined;
  #reading = Promise.resolve();
  #closed = false;
  #failures = 0;

  constructor(
    readonly directory: string,
    private readonly clock: Clock,
    private readonly logger: Logger,
    private readonly onChange: (state: CaState) => void,
  ) {
    this.keys = new KeyFolder(directory);
    this.issuedLog = new IssuedLog(directory);
    this.#auditLog = new AuditLog(directory);
    this.#file = join(directory, STATE_FILE);
  }

  get state(): CaState {
    if (this.#state === undefined) throw new CaError('state', `${this.directory} has not been opened`);
    return this.#state;
  }

  /** Times that what was to be recorded could not be: a disk is full, or gone. */
  get recordFailures(): number {
    return this.#failures;
  }

  async open(): Promise<void> {
    await privateDirectory(this.directory);
    await this.keys.open();
  }

  /**
   * Runs `work` with the newest state, alone; what it returns takes its place, once what it told of is in the logs. The state that it was given: nothing changed.
   */
  async change(work: (state: CaState | undefined, turn: Turn) => Promise<CaState | undefined>): Promise<void> {
    await locked(join(this.directory, 'lock'), this.clock, async (held) => {
      const before = await this.#read();
      const events: AuditEvent[] = [];
      const issued: IssuedRecord[] = [];
      const now = this.clock.wallTime();
      const after = await work(before, {
        audit: (event) => events.push(event),
        issued: (record) => issued.push(record),
        isRevoked: (serial) => before !== undefined && isRevokedIn(before, serial),
      });
      if (issued.length > 0 || events.length > 0 || after !== before) await held();
      // In this order: nothing is valid that was not recorded.
      try {
        if (issued.length > 0) await this.issuedLog.append(issued, keptFrom(before, now));
        if (events.length > 0) await this.#auditLog.append(events, now);
      } catch (error) {
        this.#failures++;
        throw error;
      }
      if (after === undefined) return;
      const changed = after !== before;
      const next = changed ? { ...after, revision: (before?.revision ?? 0) + 1 } : after;
      if (changed) {
        await writeAtomically(this.#file, `${JSON.stringify(next)}\n`);
        await this.keys.keep(new Set([...next.roots, ...next.intermediates].map(({ id }) => id)));
      }
      this.#adopt(next);
    });
  }

  /** Tells of what others change, until it is closed. */
  watch(): void {
    try {
      this.#watcher = watch(this.directory, { persistent: false }, (_, name) => {
        if (name === null || name === STATE_FILE) this.#look();
      });
      this.#watcher.on('error', (error) => this.#poll(error));
    } catch (error) {
      this.#poll(error);
    }
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#watcher?.close();
    this.#cancelLook?.();
    await this.#reading;
  }

  #poll(error: unknown): void {
    this.#watcher?.close();
    if (this.#closed) return;
    this.logger.info('the CA folder cannot be watched, and is looked at instead', { error: String(error) });
    const look = (): void => {
      this.#look();
      this.#cancelLook = this.clock.after(LOOK_MS, look, { background: true });
    };
    look();
  }

  #look(): void {
    this.#reading = this.#reading.then(async () => {
      if (this.#closed) return;
      try {
        const state = await this.#read();
        if (state !== undefined && !this.#closed) this.#adopt(state);
      } catch (error) {
        // What was known before stands.
        this.logger.warn('the state of the CA cannot be read', { error: String(error) });
      }
    });
  }

  async #read(): Promise<CaState | undefined> {
    const text = await readIfThere(this.#file);
    return text === undefined ? undefined : parseState(text, this.#file);
  }

  #adopt(state: CaState): void {
    if (this.#state !== undefined && state.revision <= this.#state.revision) return;
    this.#state = state;
    this.onChange(state);
  }
}
