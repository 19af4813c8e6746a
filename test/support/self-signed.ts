import { execFileSync } from 'node:child_process';
import { join } from 'node:path';

/** PEM files of a certificate for 127.0.0.1 that is its own authority, and of its key. */
export interface SelfSigned {
  readonly cert: string;
  readonly key: string;
}

/** Makes `<name>.pem` and `<name>.key` in the folder, for CN=<name>; undefined where there is no openssl. */
export function selfSigned(folder: string, name: string): SelfSigned | undefined {
  const [cert, key] = [join(folder, `${name}.pem`), join(folder, `${name}.key`)];
  const subject = ['-subj', `/CN=${name}`, '-addext', 'subjectAltName=IP:127.0.0.1'];
  const kind = ['-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2'];
  try {
    execFileSync('openssl', ['req', ...kind, ...subject, '-keyout', key, '-out', cert], { stdio: 'ignore' });
  } catch {
    return undefined;
  }
  return { cert, key };
}
