import { CaError, SignerError } from './errors.js';
import type { AuthoritySettings } from './settings.js';
import type { Signer, SigningRequest } from './signer.js';
import { checkSigned } from './signers/check.js';
import type { CaFolder } from './store/folder.js';
import { activeOf } from './upkeep.js';
import { newSerial } from './x509/certificates.js';
import { certificatesOf } from './x509/chain.js';
import { leafCertificate } from './x509/leaf.js';

/** A signer that has not answered by then is not waited for, in milliseconds: others stand in line behind what it is asked for. As long as a workload waits (`RENEWAL_TIMEOUT_MS`). */
export const SIGN_MS = 30_000;

export interface Signed {
  /** PEM, leaf first, without the root. */
  readonly certificates: readonly [string, ...string[]];
  /** The intermediate's id, or `signer`. */
  readonly issuer: string;
}

/** Certifies what was decided, with the intermediate that is active, or with who signs in its place. Rejects with a CaError. */
export async function signed(request: SigningRequest, folder: CaFolder, settings: AuthoritySettings): Promise<Signed> {
  const { signer, clock } = settings;
  if (signer !== undefined) {
    const roots = folder.state.roots.map(({ certificate }) => certificate);
    return { certificates: await signedElsewhere(signer, request, roots, settings), issuer: 'signer' };
  }
  const { directory, state, keys } = folder;
  const active = activeOf(state);
  if (active === undefined) throw signsElsewhere(directory);
  const notAfter = Math.min(request.notAfter, active.notAfter);
  if (notAfter <= clock.wallTime())
    throw new CaError('state', `the intermediate of ${directory} has ended: give a new one`);
  const issuer = await keys.issuer(active.id, active.certificate);
  const leaf = await leafCertificate({ ...request, notAfter, serial: newSerial() }, issuer);
  return { certificates: [leaf, ...certificatesOf(active.certificate)], issuer: active.id };
}

/** A folder without keys, and who signs for it was not given. */
export const signsElsewhere = (directory: string): CaError =>
  new CaError(
    'state',
    `${directory} has no keys of its own: name who signs for it, as the control plane does (--help)`,
  );

async function signedElsewhere(
  signer: Signer,
  request: SigningRequest,
  roots: readonly string[],
  { clock }: Pick<AuthoritySettings, 'clock'>,
): Promise<readonly [string, ...string[]]> {
  const { name } = signer;
  try {
    const certificates = await new Promise<readonly [string, ...string[]]>((resolve, reject) => {
      const late = (): void => reject(new Error(`no certificate within ${SIGN_MS} ms`));
      const cancel = clock.after(SIGN_MS, late, { background: true });
      Promise.resolve()
        .then(() => signer.sign(request))
        .then(resolve, reject)
        .finally(cancel);
    });
    checkSigned(certificates, request, { roots, name, now: clock.wallTime() });
    return certificates;
  } catch (error) {
    throw new SignerError(name, error);
  }
}
