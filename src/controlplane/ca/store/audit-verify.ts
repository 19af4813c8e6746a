import { join } from 'node:path';
import { type AuditHead, AuditLog, chained, GENESIS } from './audit.js';
import { completeLines } from './lines.js';

export interface AuditVerdict {
  /** Lines that are in order. */
  readonly lines: number;
  readonly head: AuditHead;
  /** The first thing that is wrong; undefined when nothing is. */
  readonly problem: { readonly file: string; readonly line: number; readonly what: string } | undefined;
}

/**
 * Checks the whole chain, up to the head. `anchor`: a head that was written down elsewhere; it must be in the chain, or the folder was put back to an earlier day.
 * Reads only: it may run beside the authority, and lines that are added meanwhile are no problem.
 */
export async function verifyAudit(directory: string, anchor?: AuditHead): Promise<AuditVerdict> {
  const log = new AuditLog(directory);
  const stored = await log.storedHead();
  const files = await log.files();
  let at: AuditHead = { seq: (stored?.first ?? 1) - 1, hash: stored?.before ?? GENESIS };
  let lines = 0;
  let noticed: AuditVerdict['problem'];
  let passedHead = stored === undefined || stored.seq === at.seq;
  let passedAnchor = anchor === undefined || anchor.seq < (stored?.first ?? 1);
  for (const file of files) {
    let number = 0;
    for await (const line of completeLines(join(directory, file))) {
      number++;
      const read = chained(line, at.hash, at.seq + 1);
      if (typeof read === 'string') return { lines, head: at, problem: { file, line: number, what: read } };
      at = read;
      lines++;
      // In a string its quotes would have backslashes before them.
      if (line.includes('"event":"tampered"')) noticed ??= { file, line: number, what: tampering(line) };
      if (at.seq === stored?.seq) {
        if (at.hash !== stored.hash)
          return { lines, head: at, problem: { file, line: number, what: 'audit.head has another hash for it' } };
        passedHead = true;
      }
      if (at.seq === anchor?.seq) {
        if (at.hash !== anchor.hash)
          return { lines, head: at, problem: { file, line: number, what: 'the anchor has another hash for it' } };
        passedAnchor = true;
      }
    }
  }
  const file = files.at(-1) as string;
  const cut = (what: string): AuditVerdict => ({ lines, head: at, problem: { file, line: lines, what } });
  if (stored === undefined && lines === 0 && (await log.isDue())) return cut('the log is gone: the authority has one');
  if (stored === undefined && lines > 0) return cut('audit.head is gone: lines may have been cut off at the end');
  if (!passedHead) return cut(`lines were cut off at the end: the last one was number ${stored?.seq}`);
  if (!passedAnchor) return cut(`lines were cut off at the end: the anchor is number ${anchor?.seq}`);
  return { lines, head: at, problem: noticed };
}

const tampering = (line: string): string =>
  `the authority noticed it by itself: ${(JSON.parse(line) as { readonly detail?: string }).detail ?? 'no detail'}`;
