import { CaError } from './errors.js';
import type { IssuedRecord } from './store/issued.js';
import { type CaState, isRevokedIn } from './store/state.js';

/** Workloads that a message names at most. */
const NAMED = 5;

/** Certificates that nobody would take any more, were the old root to go now. */
interface StillUnder {
  readonly certificates: number;
  /** When the last of them ends, wall-clock milliseconds. */
  readonly until: number;
  /** SPIFFE IDs with no other certificate: they have not renewed. */
  readonly workloads: readonly string[];
}

/** Rejects where the step that is next is the one with which the old root goes, and somebody needs it. `records`: of what has not ended. */
export async function mustBeFree(state: CaState, records: AsyncIterable<IssuedRecord>): Promise<void> {
  if (state.rotation?.step !== 'retire') return;
  const under = await stillUnder(state, state.rotation.newRoot, records);
  if (under.certificates > 0) throw stillNeeded(under);
}

/** Revoked certificates count for nothing. */
async function stillUnder(state: CaState, newRoot: string, records: AsyncIterable<IssuedRecord>): Promise<StillUnder> {
  const old = new Set(state.intermediates.filter(({ root }) => root !== newRoot).map(({ id }) => id));
  const hasRenewed = new Map<string, boolean>();
  let certificates = 0;
  let until = 0;
  for await (const { serial, spiffeId, issuer, notAfter } of records) {
    if (isRevokedIn(state, serial)) continue;
    const isOld = old.has(issuer);
    hasRenewed.set(spiffeId, hasRenewed.get(spiffeId) === true || !isOld);
    if (!isOld) continue;
    certificates++;
    until = Math.max(until, notAfter);
  }
  return { certificates, until, workloads: [...hasRenewed].flatMap(([id, has]) => (has ? [] : [id])) };
}

/** Why a root does not go that is still needed: who asks for it is to know what it costs. */
function stillNeeded({ certificates, until, workloads }: StillUnder): CaError {
  const count = workloads.length;
  const names = workloads.slice(0, NAMED).join(', ') + (count > NAMED ? `, and ${count - NAMED} more` : '');
  const who =
    count === 0
      ? 'Each of their workloads has one under the new root, too, but not each of its processes need have'
      : `${count === 1 ? '1 workload has' : `${count} workloads have`} none under the new root yet (${names})`;
  return new CaError(
    'state',
    `${certificates === 1 ? '1 certificate is' : `${certificates} certificates are`} still under the old root, and would be refused by everybody without it. ${who}. Workloads that are connected renew within minutes, others at half of a certificate's life; the last ends ${new Date(until).toISOString()}, and then the old root goes by itself. To cut them off now: --force`,
  );
}
