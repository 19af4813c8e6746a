import { CaError } from './errors.js';
import type { AuditEvent } from './store/audit.js';
import type { CaFolder, Turn } from './store/folder.js';
import type { IssuedRecord } from './store/issued.js';

interface Entry {
  readonly record: IssuedRecord | undefined;
  readonly event: AuditEvent;
  readonly meanwhile: ((turn: Turn) => Promise<void>) | undefined;
  resolve(): void;
  reject(error: unknown): void;
}

/** Entries that are written in one turn, at most. */
const GROUP = 256;

/** Writes what many ask for in few turns (group commit): the lock and the disk are what is slow, and not the number of lines. */
export class Journal {
  #waiting: Entry[] = [];
  #writing: Promise<void> | undefined;

  constructor(private readonly folder: CaFolder) {}

  /** Resolves when the certificate is recorded, and `meanwhile` with it. */
  record(record: IssuedRecord, meanwhile?: (turn: Turn) => Promise<void>): Promise<void> {
    const { serial, spiffeId, by, notAfter } = record;
    const event = { event: 'issue', serial, spiffeId, by, notAfter: new Date(notAfter).toISOString() } as const;
    return this.#add({ record, event, meanwhile });
  }

  audit(event: AuditEvent): Promise<void> {
    return this.#add({ record: undefined, event, meanwhile: undefined });
  }

  async close(): Promise<void> {
    await this.#writing;
  }

  #add(entry: Pick<Entry, 'record' | 'event' | 'meanwhile'>): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ ...entry, resolve, reject });
      this.#writing ??= this.#write();
    });
  }

  async #write(): Promise<void> {
    while (this.#waiting.length > 0) {
      const group = this.#waiting.splice(0, GROUP);
      try {
        const failed = await this.#turn(group);
        for (const entry of group) {
          if (failed.has(entry)) entry.reject(failed.get(entry));
          else entry.resolve();
        }
      } catch (error) {
        for (const entry of group) entry.reject(error);
      }
    }
    this.#writing = undefined;
  }

  async #turn(group: readonly Entry[]): Promise<ReadonlyMap<Entry, unknown>> {
    const failed = new Map<Entry, unknown>();
    await this.folder.change(async (state, turn) => {
      for (const entry of group) {
        try {
          const { record } = entry;
          const signers = state?.intermediates ?? [];
          // Signed while the root was taken out of the bundle: nobody would believe it.
          if (record !== undefined && record.issuer !== 'signer' && !signers.some(({ id }) => id === record.issuer))
            throw new CaError('unavailable', 'the signing certificate was replaced meanwhile: ask again', 100);
          await entry.meanwhile?.(turn);
          turn.audit(entry.event);
          if (record !== undefined) turn.issued(record);
        } catch (error) {
          failed.set(entry, error);
        }
      }
      return state;
    });
    return failed;
  }
}
