import { describe, expect, test } from 'vitest';
import { decodeError, withField } from './support.js';

const providers = (json: unknown) => withField('certificate_providers', json).certificateProviders;
const watcher = (config?: unknown) => providers({ mine: { plugin_name: 'file_watcher', config } }).get('mine');

describe('certificate providers (A29)', () => {
  test('file_watcher names its files', () => {
    const config = {
      certificate_file: '/c',
      private_key_file: '/k',
      ca_certificate_file: '/ca',
      refresh_interval: '60s',
      unknown: 1,
    };
    expect(watcher(config)).toEqual({
      kind: 'file_watcher',
      certificateFile: '/c',
      privateKeyFile: '/k',
      caCertificateFile: '/ca',
      spiffeTrustBundleMapFile: undefined,
      refreshIntervalMs: 60_000,
    });
  });

  test('roots alone are enough, read every 600 s', () => {
    expect(watcher({ ca_certificate_file: '/ca' })).toMatchObject({
      caCertificateFile: '/ca',
      certificateFile: undefined,
      refreshIntervalMs: 600_000,
    });
  });

  test('a map of SPIFFE trust bundles takes the place of the roots (A87)', () => {
    const config = { ca_certificate_file: '/ca', spiffe_trust_bundle_map_file: '/map' };
    expect(watcher(config)).toMatchObject({ caCertificateFile: undefined, spiffeTrustBundleMapFile: '/map' });
  });

  test("instances of somebody else's plug-in are left out", () => {
    const found = providers({
      theirs: { plugin_name: 'mesh_ca', config: 7 },
      mine: { plugin_name: 'file_watcher', config: { ca_certificate_file: '/ca' } },
    });
    expect([...found.keys()]).toEqual(['mine']);
  });

  const at = 'certificate_providers.mine';
  const wrong: [string, unknown, string][] = [
    ['that are no object', 5, 'certificate_providers: must be an object, got 5'],
    ['of which one is none', { mine: null }, `${at}: must be an object, got null`],
    ['without a plug-in', { mine: {} }, `${at}.plugin_name: must be a string, got undefined`],
    [
      'without any file',
      { mine: { plugin_name: 'file_watcher' } },
      `${at}.config: must set certificate_file (with private_key_file), ca_certificate_file or spiffe_trust_bundle_map_file`,
    ],
    [
      'with a key alone',
      { mine: { plugin_name: 'file_watcher', config: { private_key_file: '/k' } } },
      `${at}.config: certificate_file and private_key_file go together: set both or none`,
    ],
    [
      'with a wrong interval',
      { mine: { plugin_name: 'file_watcher', config: { ca_certificate_file: '/ca', refresh_interval: '1h' } } },
      `${at}.config.refresh_interval: must be a duration such as "600s", got "1h"`,
    ],
  ];
  test.each(wrong)('%s are an error that names the place', (_name, json, message) => {
    expect(() => providers(json)).toThrow(decodeError(message));
  });
});
