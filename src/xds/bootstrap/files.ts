import { DecodeError } from '../../core/decode.js';
import { type Json, optionalDuration, optionalFile } from './fields.js';

/** "If unset, defaults to "600s"." - A65 */
const DEFAULT_REFRESH_MS = 600_000;
/** Shorter intervals are taken for this one, as in C-core's file watcher: more often costs and helps nobody. */
const MIN_REFRESH_MS = 1_000;

/** What channel credentials `tls` and the certificate provider `file_watcher` have in common. */
export interface CertificateFilesConfig {
  readonly caCertificateFile: string | undefined;
  readonly certificateFile: string | undefined;
  readonly privateKeyFile: string | undefined;
  readonly refreshIntervalMs: number;
}

/** "essentially the same as that of the file-watcher certificate provider" - A65 */
export function parseCertificateFiles(config: Json, path: string): CertificateFilesConfig {
  const certificateFile = optionalFile(config, 'certificate_file', path);
  const privateKeyFile = optionalFile(config, 'private_key_file', path);
  // "If either of these fields are set, both must be set." - A65
  if ((certificateFile === undefined) !== (privateKeyFile === undefined)) {
    throw new DecodeError(path, 'certificate_file and private_key_file go together: set both or none');
  }
  return {
    caCertificateFile: optionalFile(config, 'ca_certificate_file', path),
    certificateFile,
    privateKeyFile,
    refreshIntervalMs: Math.max(
      optionalDuration(config, 'refresh_interval', path) ?? DEFAULT_REFRESH_MS,
      MIN_REFRESH_MS,
    ),
  };
}
