import { createPrivateKey, X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { CaError } from './errors.js';
import type { AuthoritySettings } from './settings.js';
import type { CaState, StoredRoot } from './store/state.js';
import { newIntermediate, newRoot, type Upkeep } from './upkeep.js';
import { readPrivateKey } from './x509/algorithms.js';
import { certificatesOf, holdsTogether } from './x509/chain.js';
import { fingerprintOf } from './x509/certificates.js';

const DEFAULT_TRUST_DOMAIN = 'cluster.local';

/** The state to go on with: the folder's, made where there is none, and brought into line with what the settings say. */
export async function openedState(
  state: CaState | undefined,
  settings: AuthoritySettings,
  upkeep: Upkeep,
): Promise<CaState> {
  const { trustDomain = state?.trustDomain ?? DEFAULT_TRUST_DOMAIN, algorithm, directory } = settings;
  if (state !== undefined && state.trustDomain !== trustDomain)
    throw new CaError(
      'state',
      `${directory} is the authority of ${state.trustDomain}, and not of ${trustDomain}: give another directory`,
    );
  const empty: CaState = {
    format: 1,
    revision: 0,
    trustDomain,
    algorithm,
    roots: [],
    intermediates: [],
    active: undefined,
    rotation: undefined,
    revoked: [],
    crls: [],
    crlNumber: 0,
  };
  if (settings.signer !== undefined) {
    if (state?.active !== undefined)
      throw new CaError('state', `${directory} has keys of its own: give a signer another directory`);
    if (state === undefined) upkeep.audit({ event: 'create', trustDomain, signer: settings.signer.name });
    return state ?? empty;
  }
  if (settings.intermediate !== undefined) return withFiles(state ?? empty, settings.intermediate, upkeep);
  if (state?.active !== undefined) return state;
  if (state !== undefined && settings.attached) return state;
  if (state !== undefined)
    throw new CaError(
      'state',
      `${directory} has no keys of its own: give the signer that it was made with, or another directory`,
    );
  const root = await newRoot(empty, upkeep);
  const intermediate = await newIntermediate(empty, root, upkeep);
  upkeep.audit({ event: 'create', trustDomain, root: root.id, intermediate: intermediate.id });
  return { ...empty, roots: [root], intermediates: [intermediate], active: intermediate.id };
}

/** Signs with an intermediate of files from now on. Its key is copied into the folder, so that the tools that work on the folder can sign lists. */
async function withFiles(
  state: CaState,
  files: NonNullable<AuthoritySettings['intermediate']>,
  upkeep: Upkeep,
): Promise<CaState> {
  const read = async (path: string): Promise<string> => {
    try {
      return await readFile(path, 'utf8');
    } catch (error) {
      throw new CaError('state', `${path} cannot be read: ${(error as Error).message}`);
    }
  };
  const [chain, keyPem, rootsPem] = await Promise.all([read(files.certificate), read(files.key), read(files.roots)]);
  const certificates = certificatesOf(chain);
  const roots = certificatesOf(rootsPem);
  const [first] = certificates;
  if (first === undefined) throw new CaError('state', `${files.certificate}: there is no certificate in it`);
  if (roots.length === 0) throw new CaError('state', `${files.roots}: there is no certificate in it`);
  const certificate = new X509Certificate(first);
  const key = readPrivateKey(keyPem, files.key);
  if (!certificate.checkPrivateKey(key))
    throw new CaError('state', `${files.key} is not the key of ${files.certificate}`);
  if (!certificate.ca)
    throw new CaError('state', `${files.certificate} is no authority's certificate (basicConstraints cA)`);
  if (Date.parse(certificate.validTo) <= upkeep.now)
    throw new CaError('state', `${files.certificate} has ended, ${certificate.validTo}: give a new one`);
  if (!holdsTogether(certificates, roots))
    throw new CaError(
      'state',
      `${files.certificate} does not end in one of the roots of ${files.roots}: put what is between into it, leaf first`,
    );
  const id = fingerprintOf(first).slice(0, 12);
  const stored = roots.map((pem): StoredRoot => {
    const { validTo } = new X509Certificate(pem);
    return {
      id: fingerprintOf(pem).slice(0, 12),
      certificate: pem,
      own: false,
      addedAt: upkeep.now,
      notAfter: Date.parse(validTo),
    };
  });
  const sameRoots = stored.map((root) => root.id).join() === state.roots.map((root) => root.id).join();
  if (state.active === id && sameRoots) return state;
  await upkeep.keys.save(id, createPrivateKey(keyPem));
  upkeep.audit({
    event: state.active === undefined ? 'create' : 'rotate',
    trustDomain: state.trustDomain,
    intermediate: id,
  });
  const intermediate = {
    id,
    root: stored[0]?.id ?? id,
    certificate: certificates.join(''),
    notBefore: Date.parse(certificate.validFrom),
    notAfter: Date.parse(certificate.validTo),
  };
  const others = state.intermediates.filter((other) => other.id !== id);
  return { ...state, roots: stored, intermediates: [...others, intermediate], active: id };
}
