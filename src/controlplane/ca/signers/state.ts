import { X509Certificate } from 'node:crypto';
import type { CaState } from '../store/state.js';
import { fingerprintOf } from '../x509/certificates.js';

const same = (a: readonly string[], b: readonly string[]): boolean =>
  a.length === b.length && a.every((pem, i) => pem === b[i]);

/** The state with what the plug-in that signs has told: its roots and lists. The state itself where it is known. */
export function withSigner(state: CaState, roots: readonly string[], crls: readonly string[], now: number): CaState {
  const known = state.roots.map(({ certificate }) => certificate);
  if (same(roots, known) && same(crls, state.signerCrls ?? [])) return state;
  const stored = roots.map((certificate) => ({
    id: fingerprintOf(certificate).slice(0, 12),
    certificate,
    own: false,
    addedAt: now,
    notAfter: Date.parse(new X509Certificate(certificate).validTo),
  }));
  return { ...state, roots: stored, signerCrls: crls };
}
