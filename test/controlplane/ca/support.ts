import { generateKeyPairSync } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CertificateAuthority, type IssueRequest } from '../../../src/controlplane/ca/authority.js';
import type { AuthorityOptions } from '../../../src/controlplane/ca/settings.js';
import { FakeClock } from '../../support/fake-clock.js';

export const DAY = 86_400_000;
export const ID = 'spiffe://cluster.local/ns/default/sa/web';

export const newSpki = (): Uint8Array =>
  generateKeyPairSync('ec', {
    namedCurve: 'P-256',
    publicKeyEncoding: { type: 'spki', format: 'der' },
    privateKeyEncoding: { type: 'pkcs8', format: 'der' },
  }).publicKey;

export const request = (changes: Partial<IssueRequest> = {}): IssueRequest => ({
  spiffeId: ID,
  publicKey: newSpki(),
  by: 'test',
  ...changes,
});

/** Lets what is real, files and keys, come forward between two steps of time. */
export const breath = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 2));

/** Authorities in folders of their own, on one clock; closed and removed together. */
export function authorities(clock = new FakeClock()) {
  const opened: CertificateAuthority[] = [];
  const folders: string[] = [];
  const folder = (): string => {
    const made = mkdtempSync(join(tmpdir(), 'inmesh-ca-'));
    folders.push(made);
    return made;
  };
  return {
    clock,
    folder,
    async open(options: Partial<AuthorityOptions> = {}): Promise<CertificateAuthority> {
      const ca = await CertificateAuthority.open({ directory: folder(), clock, ...options });
      opened.push(ca);
      return ca;
    },
    async closeAll(): Promise<void> {
      await Promise.all(opened.splice(0).map((ca) => ca.close()));
      for (const made of folders.splice(0)) rmSync(made, { recursive: true, force: true });
    },
  };
}
