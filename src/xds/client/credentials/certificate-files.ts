import { X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { Clock } from '../../../core/clock.js';
import type { Logger } from '../../../core/log.js';
import type { ChannelCredentialsConfig } from '../../bootstrap/bootstrap.js';

export type TlsConfig = Extract<ChannelCredentialsConfig, { kind: 'tls' }>;

/** PEM, as it was in the files; null where none is named. */
export interface TlsPems {
  readonly ca: Buffer | null;
  readonly certificate: Buffer | null;
  readonly privateKey: Buffer | null;
}

/**
 * The files of `tls` credentials (gRFC A65). Handshakes are all that needs them, so they are read when there is one, and not by a timer: anew
 * once `refreshIntervalMs` have passed. Files that cannot be used, because one is gone or was caught half-written, leave the last good ones in
 * their place until the next handshake looks again.
 */
export class CertificateFiles {
  /** What `use` made something of last; written by a read that went well. */
  #good: { readonly pems: TlsPems; readonly readAt: number } | undefined;

  constructor(
    private readonly config: TlsConfig,
    private readonly clock: Pick<Clock, 'now'>,
    private readonly logger: Logger,
  ) {}

  /** What `make` makes of the files. Throws what is wrong with them, and names the file, when no good ones are known. */
  use<T>(make: (pems: TlsPems) => T): T {
    const good = this.#good;
    const now = this.clock.now();
    if (good !== undefined && now - good.readAt < this.config.refreshIntervalMs) return make(good.pems);
    try {
      const pems = this.#read();
      const made = make(pems);
      this.#good = { pems, readAt: now };
      return made;
    } catch (error) {
      if (good === undefined) throw error;
      const fields = { error: (error as Error).message, ageMs: Math.round(now - good.readAt) };
      this.logger.warn('certificate files for a control plane cannot be used; those read before stay in use', fields);
      return make(good.pems);
    }
  }

  #read(): TlsPems {
    const { caCertificateFile, certificateFile, privateKeyFile } = this.config;
    return {
      ca: readCertificate(caCertificateFile),
      certificate: readCertificate(certificateFile),
      privateKey: read(privateKeyFile),
    };
  }
}

/** A file without a certificate would be taken by OpenSSL as no roots at all, and without a word. */
function readCertificate(file: string | undefined): Buffer | null {
  const pem = read(file);
  if (pem === null) return null;
  try {
    new X509Certificate(pem);
  } catch (cause) {
    throw new Error(`${file}: must begin with a certificate in PEM: ${(cause as Error).message}`, { cause });
  }
  return pem;
}

const read = (file: string | undefined): Buffer | null => (file === undefined ? null : readFileSync(file));
