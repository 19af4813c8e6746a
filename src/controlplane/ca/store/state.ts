import { CaError } from '../errors.js';
import type { KeyAlgorithm } from '../x509/algorithms.js';
import type { RevocationReason } from '../x509/crl.js';

/** The state's file in the authority's folder. */
export const STATE_FILE = 'state.json';

export interface StoredRoot {
  readonly id: string;
  readonly certificate: string;
  /** Its key is in `keys/`: it can sign. */
  readonly own: boolean;
  readonly addedAt: number;
  readonly notAfter: number;
}

export interface StoredIntermediate {
  readonly id: string;
  readonly root: string;
  readonly certificate: string;
  readonly notBefore: number;
  readonly notAfter: number;
}

/**
 * A rotation of the root that is under way. `distribute`: the new one is trusted and signs nothing yet. `retire`: it signs; the old one is still trusted, for
 * the leaves that are under it. Either ends at `until`, wall-clock milliseconds.
 */
export interface Rotation {
  readonly step: 'distribute' | 'retire';
  readonly newRoot: string;
  readonly until: number;
}

export interface Revoked {
  readonly serial: string;
  readonly issuer: string;
  readonly spiffeId: string;
  readonly fingerprint: string;
  readonly at: number;
  readonly notAfter: number;
  readonly reason: RevocationReason;
}

export interface StoredCrl {
  /** Root or intermediate that signed it. */
  readonly issuer: string;
  readonly number: number;
  readonly pem: string;
  readonly nextUpdate: number;
}

/** All that an authority knows, but its keys and its logs. Replaced as a whole; no secret is in it. */
export interface CaState {
  readonly format: 1;
  /** Counts the changes: who shares the folder sees by it that there was one. */
  readonly revision: number;
  readonly trustDomain: string;
  readonly algorithm: KeyAlgorithm;
  readonly roots: readonly StoredRoot[];
  readonly intermediates: readonly StoredIntermediate[];
  /** The intermediate that signs; undefined where a plug-in does. */
  readonly active: string | undefined;
  readonly rotation: Rotation | undefined;
  readonly revoked: readonly Revoked[];
  readonly crls: readonly StoredCrl[];
  readonly crlNumber: number;
  /** Lists of the plug-in that signs, PEM, as it gave them last: all who share the folder hear of them, and they are known while it is away. */
  readonly signerCrls?: readonly string[];
  readonly endedKept?: EndedKept;
}

/** Since when revocations and records outlast their certificates, wall-clock milliseconds, and by how much: what has ended may be renewed, and so be revoked. */
export interface EndedKept {
  readonly since: number;
  readonly ms: number;
}

/** Revocations and records of certificates that ended before it are of no use to anybody. */
export const keptFrom = (state: CaState | undefined, now: number): number => now - (state?.endedKept?.ms ?? 0);

/** The state with what has ended kept for so long at least; never for less again, as other processes may share the folder. */
export function keepingEnded(state: CaState, ms: number, now: number): CaState {
  const { endedKept } = state;
  if (ms <= (endedKept?.ms ?? 0)) return state;
  // What ended before was forgotten.
  const since = endedKept === undefined ? now : Math.max(endedKept.since, now - endedKept.ms);
  return { ...state, endedKept: { since, ms } };
}

const serials = new WeakMap<CaState, ReadonlySet<string>>();

/** Whether a certificate was revoked by then; its number in hex, of either case. */
export function isRevokedIn(state: CaState, serial: string): boolean {
  let known = serials.get(state);
  if (known === undefined) {
    known = new Set(state.revoked.map((entry) => entry.serial));
    serials.set(state, known);
  }
  return known.has(serial.toLowerCase());
}

/** Throws where the text is none: written by a newer version, or damaged. */
export function parseState(text: string, place: string): CaState {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new CaError('state', `${place} is damaged: put it back from a copy`);
  }
  const state = value as Partial<CaState> | null;
  if (typeof state !== 'object' || state === null || state.format !== 1)
    throw new CaError('state', `${place} was not written by this version of inmesh: format 1 is read`);
  for (const list of ['roots', 'intermediates', 'revoked', 'crls'] as const)
    if (!Array.isArray(state[list])) throw new CaError('state', `${place} is damaged: ${list} is missing`);
  if (typeof state.revision !== 'number' || typeof state.trustDomain !== 'string')
    throw new CaError('state', `${place} is damaged: revision or trustDomain is missing`);
  return { active: undefined, rotation: undefined, ...state } as CaState;
}
