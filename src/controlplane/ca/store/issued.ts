import { readdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { appendDurably } from './files.js';
import { jsonLines, mendTail } from './lines.js';

/** One certificate, as it is recorded before it is handed out. */
export interface IssuedRecord {
  /** Hex, lower case. */
  readonly serial: string;
  readonly spiffeId: string;
  /** SHA-256 of the certificate, hex. */
  readonly fingerprint: string;
  /** Id of the intermediate that signed; `signer` for a plug-in's. */
  readonly issuer: string;
  readonly notBefore: number;
  readonly notAfter: number;
  readonly at: number;
  /** How its owner was attested. */
  readonly by: string;
}

/** A file of records that is larger is closed, and the next one begun, in bytes. */
const FILE_BYTES = 16 * 1024 * 1024;
const CURRENT = 'issued.jsonl';
/** `issued-<wall-clock ms at which the last of its certificates ends>.jsonl` */
const CLOSED = /^issued-(\d+)-[0-9a-f]+\.jsonl$/;

/**
 * Every certificate that was issued and has not ended: lines are only ever added. Bounded, because a file goes when all of its certificates have ended, and none
 * lives longer than 90 days. Callers hold the folder's lock to write.
 */
export class IssuedLog {
  constructor(
    private readonly directory: string,
    private readonly fileBytes = FILE_BYTES,
  ) {}

  async append(records: readonly IssuedRecord[], now: number): Promise<void> {
    const current = join(this.directory, CURRENT);
    const size = await mendTail(current);
    if (size > this.fileBytes) await this.#close(current, now);
    await appendDurably(current, records.map((record) => `${JSON.stringify(record)}\n`).join(''));
  }

  /** Those that have not ended, oldest file first. */
  async *records(now: number): AsyncGenerator<IssuedRecord> {
    for (const { name, until } of await this.#files()) {
      if (until < now) continue;
      for await (const line of jsonLines(join(this.directory, name))) {
        const record = line as IssuedRecord;
        if (typeof record?.serial === 'string' && record.notAfter >= now) yield record;
      }
    }
  }

  async #close(current: string, now: number): Promise<void> {
    let until = 0;
    let last = '0';
    for await (const line of jsonLines(current)) {
      const record = line as IssuedRecord;
      until = Math.max(until, record.notAfter);
      last = record.serial;
    }
    await rename(current, join(this.directory, `issued-${until}-${last}.jsonl`));
    for (const file of await this.#files())
      if (file.until < now) await rm(join(this.directory, file.name), { force: true });
  }

  async #files(): Promise<{ readonly name: string; readonly until: number }[]> {
    const closed = (await readdir(this.directory))
      .flatMap((name) => {
        const until = CLOSED.exec(name)?.[1];
        return until === undefined ? [] : [{ name, until: Number(until) }];
      })
      .sort((a, b) => a.until - b.until);
    return [...closed, { name: CURRENT, until: Number.POSITIVE_INFINITY }];
  }
}
