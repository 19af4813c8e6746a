import { createHash } from 'node:crypto';
import { open, readdir, rename, rm, stat, truncate } from 'node:fs/promises';
import { join } from 'node:path';
import { appendDurably, readIfThere, writeAtomically } from './files.js';
import { STATE_FILE } from './state.js';

/** What the authority did, or would not do. */
export interface AuditEvent {
  readonly event:
    | 'create'
    | 'issue'
    | 'refuse'
    | 'revoke'
    | 'rotate'
    | 'token-made'
    | 'token-used'
    | 'token-removed'
    | 'tampered';
  readonly [field: string]: string | number | undefined;
}

/** Where the chain stands. To be kept elsewhere as well, by who wants to notice that the whole folder was put back to an earlier day. */
export interface AuditHead {
  /** Number of the last line. */
  readonly seq: number;
  readonly hash: string;
}

/** The head as it is stored: `bytes` of the current file belong to it; the oldest line that is kept is `first`, and follows the one of hash `before`. */
interface StoredHead extends AuditHead {
  readonly bytes: number;
  readonly first: number;
  readonly before: string;
}

/** A larger file is closed and the next one begun, in bytes; the oldest go when there are more than `KEPT_FILES`, together with their lines. */
const FILE_BYTES = 16 * 1024 * 1024;
const KEPT_FILES = 64;

const CURRENT = 'audit.jsonl';
const HEAD = 'audit.head';
/** `audit-<number of its first line>.jsonl` */
const CLOSED = /^audit-(\d+)\.jsonl$/;
const ENDING = /^(.*),"hash":"([0-9a-f]{64})"\}$/s;
/** What the first line follows. */
export const GENESIS = '0'.repeat(64);

const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex');

/**
 * Hash-chained JSON lines: each has the hash of the one before, and its own over all that comes before it in the line. A line that is changed, taken out, put in or
 * moved breaks the chain; lines that are cut off at the end are missed by the head, a file of its own. Callers hold the folder's lock to write.
 */
export class AuditLog {
  constructor(
    private readonly directory: string,
    private readonly limits: { readonly fileBytes: number; readonly files: number } = {
      fileBytes: FILE_BYTES,
      files: KEPT_FILES,
    },
  ) {}

  async append(events: readonly AuditEvent[], at: number): Promise<AuditHead> {
    const { head: found, tampered } = await this.#head();
    let head = await this.#rotated(found);
    let text = '';
    let { seq, hash } = head;
    const all: AuditEvent[] =
      tampered === undefined ? [...events] : [{ event: 'tampered', detail: tampered }, ...events];
    for (const event of all) {
      const body = JSON.stringify({ seq: ++seq, time: new Date(at).toISOString(), ...event, prev: hash });
      hash = sha256(body);
      text += `${body.slice(0, -1)},"hash":"${hash}"}\n`;
    }
    await appendDurably(join(this.directory, CURRENT), text);
    head = { ...head, seq, hash, bytes: head.bytes + Buffer.byteLength(text) };
    await writeAtomically(join(this.directory, HEAD), `${JSON.stringify(head)}\n`);
    return { seq, hash };
  }

  async files(): Promise<readonly string[]> {
    const closed = (await readdir(this.directory))
      .filter((name) => CLOSED.test(name))
      .sort((a, b) => Number(CLOSED.exec(a)?.[1]) - Number(CLOSED.exec(b)?.[1]));
    return [...closed, CURRENT];
  }

  async storedHead(): Promise<StoredHead | undefined> {
    const text = await readIfThere(join(this.directory, HEAD));
    if (text === undefined) return undefined;
    try {
      const head = JSON.parse(text) as StoredHead;
      return Number.isInteger(head.seq) && typeof head.hash === 'string' ? head : undefined;
    } catch {
      return undefined;
    }
  }

  /** Whether there must be lines: an authority's first state is written after the first line. */
  async isDue(): Promise<boolean> {
    return (await this.files()).length > 1 || (await exists(join(this.directory, STATE_FILE)));
  }

  /** The head, with the lines that a crash left after it; what of them was torn is taken away. */
  async #head(): Promise<{ readonly head: StoredHead; readonly tampered: string | undefined }> {
    const current = join(this.directory, CURRENT);
    const stored = await this.storedHead();
    const size = await stat(current).then(
      (stats) => stats.size,
      () => 0,
    );
    if (stored === undefined) {
      const head = { seq: 0, hash: GENESIS, bytes: size, first: 1, before: GENESIS };
      if (size > 0) return { head, tampered: 'audit.head is gone' };
      return { head, tampered: (await this.isDue()) ? 'the log is gone' : undefined };
    }
    if (size < stored.bytes)
      return { head: { ...stored, bytes: size }, tampered: `${CURRENT} has ${size} bytes, and had ${stored.bytes}` };
    if (size === stored.bytes) return { head: stored, tampered: undefined };
    let head = stored;
    for (const line of (await readFrom(current, stored.bytes)).split('\n').slice(0, -1)) {
      const read = chained(line, head.hash, head.seq + 1);
      if (typeof read === 'string') break;
      head = { ...head, ...read, bytes: head.bytes + Buffer.byteLength(line) + 1 };
    }
    await truncate(current, head.bytes);
    return { head, tampered: undefined };
  }

  /** Closes a file that is too large, and lets the oldest go; the head says before that where the chain begins now. */
  async #rotated(head: StoredHead): Promise<StoredHead> {
    if (head.bytes <= this.limits.fileBytes) return head;
    const of = (name: string): string => join(this.directory, name);
    const { seq } = await firstLine(of(CURRENT));
    await rename(of(CURRENT), of(`audit-${seq}.jsonl`));
    const [oldest, second, ...others] = (await this.files()).slice(0, -1);
    let next: StoredHead = { ...head, bytes: 0 };
    const full = oldest !== undefined && second !== undefined && others.length + 2 > this.limits.files;
    if (full) {
      const first = await firstLine(of(second));
      next = { ...next, first: first.seq, before: first.prev };
    }
    await writeAtomically(of(HEAD), `${JSON.stringify(next)}\n`);
    if (full) await rm(of(oldest), { force: true });
    return next;
  }
}

/** The line as the next one of the chain, or what is wrong with it. */
export function chained(line: string, prev: string, seq: number): AuditHead | string {
  const [, body, hash] = ENDING.exec(line) ?? [];
  if (body === undefined || hash === undefined) return 'it has no hash';
  if (sha256(`${body}}`) !== hash) return 'it was changed: its hash is another one';
  let value: { readonly seq?: unknown; readonly prev?: unknown };
  try {
    value = JSON.parse(line);
  } catch {
    return 'it is no JSON';
  }
  if (value.seq !== seq)
    return `it has the number ${String(value.seq)}, where ${seq} is due: lines were taken out, put in or moved`;
  if (value.prev !== prev) return 'it does not follow the line before it';
  return { seq, hash };
}

const exists = (path: string): Promise<boolean> =>
  stat(path).then(
    () => true,
    (error: NodeJS.ErrnoException) => error.code !== 'ENOENT',
  );

async function readFrom(path: string, from: number): Promise<string> {
  const handle = await open(path, 'r');
  try {
    const { size } = await handle.stat();
    const buffer = Buffer.alloc(size - from);
    const { bytesRead } = await handle.read(buffer, 0, buffer.length, from);
    return buffer.toString('utf8', 0, bytesRead);
  } finally {
    await handle.close();
  }
}

async function firstLine(path: string): Promise<{ readonly seq: number; readonly prev: string }> {
  const handle = await open(path, 'r');
  try {
    for await (const line of handle.readLines())
      return JSON.parse(line) as { readonly seq: number; readonly prev: string };
    throw new Error(`${path} is empty`);
  } finally {
    await handle.close().catch(() => {});
  }
}
