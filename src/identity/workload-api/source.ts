import { createPrivateKey } from 'node:crypto';
import { IdentityError } from '../../core/errors.js';
import type { IdentitySource, IdentityState, Trust, X509Identity } from '../../core/identity.js';
import { CRL, writePem } from '../pem.js';
import { parseSpiffeId, parseWorkloadId } from '../spiffe-id.js';
import { readIdentity } from '../svid.js';
import { sourceOf, Watchers } from '../watchers.js';
import { WorkloadApi, type WorkloadApiOptions } from './connection.js';
import { pemsOf } from './der.js';
import type { X509SvidEntry, X509SvidResponse } from './messages.js';

export interface WorkloadApiSourceOptions extends WorkloadApiOptions {
  /** Which of several identities. Absent: the first, which is the default one (SPIFFE Workload API section 8). */
  readonly spiffeId?: string | undefined;
  /** The same, by its hint. */
  readonly hint?: string | undefined;
}

/**
 * Identity from the SPIFFE Workload API: SPIRE's agent, or any other that serves it. Whatever happens to the agent, what it said last stands: "no identity" too,
 * since an agent that starts says that before it has heard from its server, and certificates that are withdrawn for good end soon by themselves.
 */
export function workloadApiIdentity(options: WorkloadApiSourceOptions): IdentitySource {
  const api = new WorkloadApi(options);
  const watchers = new Watchers(api.name);
  api.watchX509Svids({
    changed(response) {
      try {
        watchers.changed(stateOf(response, options));
      } catch (error) {
        watchers.failed(new IdentityError(`${api.name}: ${(error as Error).message}`, { cause: error }));
      }
    },
    failed: (error, final) =>
      watchers.failed(
        new IdentityError(`${api.name}: ${error.message}${final ? '; it is not asked again' : ''}`, {
          cause: error,
          reason: final ? 'refused' : 'unavailable',
        }),
      ),
  });
  return sourceOf(watchers, () => api.close());
}

type Choice = Pick<WorkloadApiSourceOptions, 'spiffeId' | 'hint'>;

/** Throws where the message holds what is no identity; the message of the error shows nothing of a key. */
export function stateOf(response: X509SvidResponse, choice: Choice): IdentityState {
  const entry = chosen(response.svids, choice);
  const { trustDomain } = parseWorkloadId(entry.spiffeId);
  const identity = identityOf(entry);
  const bundles = new Map<string, readonly string[]>();
  for (const [id, bundle] of response.federatedBundles) {
    const roots = pemsOf(bundle);
    if (roots === undefined) throw new Error(`the bundle of ${JSON.stringify(id.slice(0, 300))} is malformed`);
    bundles.set(parseSpiffeId(id).trustDomain, roots);
  }
  const own = pemsOf(entry.bundle);
  if (own === undefined) throw new Error(`the bundle of "${entry.spiffeId}" is malformed`);
  // After the others: nobody but the domain's own bundle speaks for the domain.
  bundles.set(trustDomain, own);
  const trust: Trust = { kind: 'spiffe', bundles };
  return { identity, trust, crls: response.crls.map((crl) => writePem(CRL, crl)) };
}

function chosen(svids: X509SvidResponse['svids'], { spiffeId, hint }: Choice): X509SvidEntry {
  const found = svids.find(
    (it) => (spiffeId === undefined || it.spiffeId === spiffeId) && (hint === undefined || it.hint === hint),
  );
  if (found !== undefined) return found;
  const known = svids.slice(0, 10).map((it) => `"${it.spiffeId}"${it.hint === '' ? '' : ` (hint "${it.hint}")`}`);
  const wanted = [
    ...(spiffeId === undefined ? [] : [`SPIFFE ID "${spiffeId}"`]),
    ...(hint === undefined ? [] : [`hint "${hint}"`]),
  ];
  throw new Error(`the workload has no identity with ${wanted.join(' and ')}, but ${known.join(', ')}`);
}

function identityOf(entry: X509SvidEntry): X509Identity {
  const what = `the X509-SVID of ${JSON.stringify(entry.spiffeId.slice(0, 300))}`;
  const chain = pemsOf(entry.chain);
  if (chain === undefined) throw new Error(`${what} has a malformed chain`);
  let privateKey: X509Identity['privateKey'];
  try {
    privateKey = createPrivateKey({ key: Buffer.from(entry.key), format: 'der', type: 'pkcs8' });
  } catch {
    // The cause may quote from the key.
    throw new Error(`${what} has a key that is no PKCS#8`);
  }
  const hint = entry.hint === '' ? undefined : entry.hint;
  const identity = readIdentity({ certificates: chain.join(''), privateKey, hint });
  if (identity.spiffeId !== entry.spiffeId) throw new Error(`${what} is that of ${identity.spiffeId ?? 'nobody'}`);
  return identity;
}
