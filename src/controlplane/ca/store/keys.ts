import { type KeyObject, X509Certificate } from 'node:crypto';
import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { CaError } from '../errors.js';
import { readPrivateKey } from '../x509/algorithms.js';
import { type Issuer, issuerOf } from '../x509/certificates.js';
import { privateDirectory, readIfThere, writeAtomically } from './files.js';

/** The authority's private keys: a file each, PKCS#8 in PEM, for this user only. */
export class KeyFolder {
  readonly #folder: string;
  readonly #issuers = new Map<string, Promise<Issuer>>();

  constructor(directory: string) {
    this.#folder = join(directory, 'keys');
  }

  open(): Promise<void> {
    return privateDirectory(this.#folder);
  }

  /** On the disk when it resolves: the state that names it is written after. */
  async save(id: string, key: KeyObject): Promise<void> {
    await writeAtomically(this.#path(id), key.export({ type: 'pkcs8', format: 'pem' }) as string);
  }

  /** The certificate with its key, ready to sign. */
  issuer(id: string, certificate: string): Promise<Issuer> {
    let issuer = this.#issuers.get(id);
    if (issuer === undefined) {
      issuer = this.load(id).then((key) => {
        // Nobody would believe what it signs.
        if (!new X509Certificate(certificate).checkPrivateKey(key))
          throw new CaError('state', `${this.#path(id)} is not the key of its certificate: put it back from a copy`);
        return issuerOf(certificate, key);
      });
      issuer.catch(() => this.#issuers.delete(id));
      this.#issuers.set(id, issuer);
    }
    return issuer;
  }

  async load(id: string): Promise<KeyObject> {
    const path = this.#path(id);
    const pem = await readIfThere(path);
    if (pem === undefined) throw new CaError('state', `${path} is gone: the authority cannot sign without it`);
    return readPrivateKey(pem, path);
  }

  /** Removes the keys of all but these. */
  async keep(ids: ReadonlySet<string>): Promise<void> {
    for (const id of this.#issuers.keys()) if (!ids.has(id)) this.#issuers.delete(id);
    for (const name of await readdir(this.#folder))
      if (name.endsWith('.key') && !ids.has(name.slice(0, -4))) await rm(join(this.#folder, name), { force: true });
  }

  #path(id: string): string {
    return join(this.#folder, `${id}.key`);
  }
}
