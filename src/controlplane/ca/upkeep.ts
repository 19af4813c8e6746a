import { randomBytes } from 'node:crypto';
import { CRL_MS, INTERMEDIATE_RENEWAL, ROOT_RENEWAL } from './constants.js';
import { CaError } from './errors.js';
import type { AuditEvent } from './store/audit.js';
import type { KeyFolder } from './store/keys.js';
import { type CaState, keptFrom, type StoredCrl, type StoredIntermediate, type StoredRoot } from './store/state.js';
import { type KeyAlgorithm, newKey } from './x509/algorithms.js';
import { authorityCertificate, backdated, type Issuer } from './x509/certificates.js';
import { revocationList } from './x509/crl.js';

/** What upkeep works with: the folder's lock is held. */
export interface Upkeep {
  readonly now: number;
  readonly keys: KeyFolder;
  readonly rootMs: number;
  readonly intermediateMs: number;
  readonly distributeMs: number;
  /** When the last leaf ends that these intermediates signed, wall-clock milliseconds; 0 where there is none. */
  lastLeaf(intermediates: ReadonlySet<string>): Promise<number>;
  audit(event: AuditEvent): void;
}

const newId = (): string => randomBytes(6).toString('hex');

export async function newRoot(
  state: Pick<CaState, 'trustDomain' | 'algorithm'>,
  { now, keys, rootMs }: Upkeep,
): Promise<StoredRoot> {
  const id = newId();
  const key = await newKey(state.algorithm as KeyAlgorithm);
  await keys.save(id, key);
  const notAfter = now + rootMs;
  const content = { trustDomain: state.trustDomain, commonName: `inmesh root ${id}`, pathLength: 1 };
  const certificate = await authorityCertificate({ ...content, notBefore: backdated(now, rootMs), notAfter }, key);
  return { id, certificate, own: true, addedAt: now, notAfter };
}

export async function newIntermediate(
  state: Pick<CaState, 'trustDomain' | 'algorithm'>,
  root: StoredRoot,
  { now, keys, intermediateMs }: Upkeep,
): Promise<StoredIntermediate> {
  const id = newId();
  const key = await newKey(state.algorithm);
  await keys.save(id, key);
  const issuer = await keys.issuer(root.id, root.certificate);
  const notBefore = backdated(now, intermediateMs);
  const notAfter = Math.min(now + intermediateMs, root.notAfter);
  const content = { trustDomain: state.trustDomain, commonName: `inmesh intermediate ${id}`, pathLength: 0 };
  const certificate = await authorityCertificate({ ...content, notBefore, notAfter }, key, issuer);
  return { id, root: root.id, certificate, notBefore, notAfter };
}

export const activeOf = (state: CaState): StoredIntermediate | undefined =>
  state.intermediates.find(({ id }) => id === state.active);

const rootOf = (state: CaState, id: string): StoredRoot => {
  const root = state.roots.find((candidate) => candidate.id === id);
  if (root === undefined) throw new CaError('state', `the root ${id} is gone from the authority's state`);
  return root;
};

/** Everything that is due by now. The state itself where nothing is. */
export async function upkept(state: CaState, upkeep: Upkeep): Promise<CaState> {
  let next = state;
  const { now } = upkeep;
  if (next.rotation !== undefined && next.rotation.until <= now) next = await nextStep(next, upkeep);
  const active = activeOf(next);
  const root = active === undefined ? undefined : next.roots.find(({ id }) => id === active.root);
  if (active !== undefined && root?.own === true) {
    const share = (from: number, until: number): number => (now - from) / (until - from);
    if (next.rotation === undefined && share(root.addedAt, root.notAfter) >= ROOT_RENEWAL)
      next = await beginRotation(next, upkeep);
    if (share(active.notBefore, active.notAfter) >= INTERMEDIATE_RENEWAL && active.notAfter < root.notAfter) {
      const made = await newIntermediate(next, root, upkeep);
      upkeep.audit({ event: 'rotate', step: 'intermediate', intermediate: made.id, root: root.id });
      next = { ...next, intermediates: [...next.intermediates, made], active: made.id };
    }
  }
  return withCrls(forgotten(next, now), upkeep);
}

/** First step: the new root is trusted by all before anything is signed under it. */
export async function beginRotation(state: CaState, upkeep: Upkeep): Promise<CaState> {
  if (state.rotation !== undefined)
    throw new CaError(
      'state',
      `the root is being rotated already (${state.rotation.step}): wait, or take the next step (rotate-root --next)`,
    );
  const active = activeOf(state);
  if (active === undefined || !rootOf(state, active.root).own)
    throw new CaError(
      'state',
      'the root is not this authority’s own: rotate it where it was made, and give its files again',
    );
  const root = await newRoot(state, upkeep);
  upkeep.audit({ event: 'rotate', step: 'distribute', root: root.id });
  const rotation = { step: 'distribute', newRoot: root.id, until: upkeep.now + upkeep.distributeMs } as const;
  return { ...state, roots: [...state.roots, root], rotation };
}

/** The step after the present one. `force`: the old root goes although leaves are alive under it; peers refuse them from then on. */
export async function nextStep(state: CaState, upkeep: Upkeep, force = false): Promise<CaState> {
  const { rotation } = state;
  if (rotation === undefined) throw new CaError('state', 'no rotation of the root is under way: begin one');
  const isOld = ({ root }: StoredIntermediate): boolean => root !== rotation.newRoot;
  const old = new Set(state.intermediates.filter(isOld).map(({ id }) => id));
  const lastLeaf = await upkeep.lastLeaf(old);
  if (rotation.step === 'distribute') {
    const made = await newIntermediate(state, rootOf(state, rotation.newRoot), upkeep);
    upkeep.audit({ event: 'rotate', step: 'retire', root: rotation.newRoot, intermediate: made.id });
    const until = Math.max(upkeep.now, lastLeaf);
    return {
      ...state,
      intermediates: [...state.intermediates, made],
      active: made.id,
      rotation: { ...rotation, step: 'retire', until },
    };
  }
  // One that was being signed while the step before was taken is known only now.
  if (lastLeaf > upkeep.now && !force) return { ...state, rotation: { ...rotation, until: lastLeaf } };
  upkeep.audit({ event: 'rotate', step: 'done', root: rotation.newRoot });
  const gone = new Set([...old, ...state.roots.filter(({ id }) => id !== rotation.newRoot).map(({ id }) => id)]);
  return {
    ...state,
    roots: state.roots.filter(({ id }) => !gone.has(id)),
    intermediates: state.intermediates.filter(({ id }) => !gone.has(id)),
    crls: state.crls.filter(({ issuer }) => !gone.has(issuer)),
    revoked: state.revoked.filter(({ issuer }) => !gone.has(issuer)),
    rotation: undefined,
  };
}

/** Without what has ended: revocations of certificates that nobody believes any more, intermediates that are over. */
function forgotten(state: CaState, now: number): CaState {
  const ended = new Set(
    state.intermediates.filter(({ id, notAfter }) => id !== state.active && notAfter < now).map(({ id }) => id),
  );
  const from = keptFrom(state, now);
  const revoked = state.revoked.filter(({ notAfter, issuer }) => notAfter >= from && !ended.has(issuer));
  if (ended.size === 0 && revoked.length === state.revoked.length) return state;
  return {
    ...state,
    intermediates: state.intermediates.filter(({ id }) => !ended.has(id)),
    crls: state.crls.filter(({ issuer }) => !ended.has(issuer)),
    revoked,
  };
}

/** Lists of all who sign, where one is missing or half over; `changed`: of these, in any case. */
export async function withCrls(
  state: CaState,
  { now, keys }: Upkeep,
  changed: ReadonlySet<string> = new Set(),
): Promise<CaState> {
  const signers = [...state.roots.filter(({ own }) => own), ...state.intermediates];
  let { crlNumber } = state;
  const crls: StoredCrl[] = [];
  for (const { id, certificate } of signers) {
    const present = state.crls.find(({ issuer }) => issuer === id);
    if (present !== undefined && !changed.has(id) && present.nextUpdate - now > CRL_MS / 2) crls.push(present);
    else crls.push(await newCrl(await keys.issuer(id, certificate), id, ++crlNumber));
  }
  return crlNumber === state.crlNumber ? state : { ...state, crls, crlNumber };

  async function newCrl(issuer: Issuer, id: string, number: number): Promise<StoredCrl> {
    const entries = state.revoked.filter((revoked) => revoked.issuer === id);
    const nextUpdate = now + CRL_MS;
    const pem = await revocationList(issuer, { number, thisUpdate: backdated(now, CRL_MS), nextUpdate, entries });
    return { issuer: id, number, pem, nextUpdate };
  }
}

/** When there is something to do next, wall-clock milliseconds. */
export function nextUpkeep(state: CaState): number {
  const active = activeOf(state);
  const due = [
    state.rotation?.until,
    ...state.crls.map(({ nextUpdate }) => nextUpdate - CRL_MS / 2),
    active && active.notBefore + (active.notAfter - active.notBefore) * INTERMEDIATE_RENEWAL,
  ];
  return Math.min(...due.filter((at) => at !== undefined));
}
