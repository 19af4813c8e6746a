import { DecodeError, record, string } from '../../core/decode.js';
import type { CertificateProviderConfig } from './bootstrap.js';
import { optionalFile } from './fields.js';
import { parseCertificateFiles } from './files.js';

/**
 * `certificate_providers`, by instance name. An instance of a plug-in that is not ours is left out, as in gRPC for Go and Java: A29 does not
 * say, and a resource that names it is refused then as one that names an instance "not configured in the bootstrap file".
 */
export function parseCertificateProviders(json: unknown, path: string): ReadonlyMap<string, CertificateProviderConfig> {
  const found = new Map<string, CertificateProviderConfig>();
  if (json === undefined) return found;
  for (const [name, entry] of Object.entries(record(json, path))) {
    const place = `${path}.${name}`;
    const { plugin_name: plugin, config = {} } = record(entry, place);
    if (string(plugin, `${place}.plugin_name`) !== 'file_watcher') continue;
    found.set(name, parseFileWatcher(config, `${place}.config`));
  }
  return found;
}

function parseFileWatcher(json: unknown, path: string): CertificateProviderConfig {
  const config = record(json, path);
  const files = parseCertificateFiles(config, path);
  const spiffeTrustBundleMapFile = optionalFile(config, 'spiffe_trust_bundle_map_file', path);
  // "at least one of the "certificate_file" or "ca_certificate_file" fields must be specified" - A65, of this plug-in
  if ((files.certificateFile ?? files.caCertificateFile ?? spiffeTrustBundleMapFile) === undefined) {
    const problem =
      'must set certificate_file (with private_key_file), ca_certificate_file or spiffe_trust_bundle_map_file';
    throw new DecodeError(path, problem);
  }
  return {
    kind: 'file_watcher',
    ...files,
    // "If the ca_certificate_file field is also set, it will be ignored" - A87
    caCertificateFile: spiffeTrustBundleMapFile === undefined ? files.caCertificateFile : undefined,
    spiffeTrustBundleMapFile,
  };
}
