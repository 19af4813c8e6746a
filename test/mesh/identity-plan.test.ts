import { describe, expect, test } from 'vitest';
import { DecodeError } from '../../src/core/decode.js';
import { silentLogger } from '../../src/core/log.js';
import { checkIdentity, type IdentityOption, identityEnvironment } from '../../src/mesh/identity-option.js';
import { type IdentityFacts, planIdentity } from '../../src/mesh/identity-plan.js';
import { memoryIdentity } from '../../src/identity/sources/memory.js';
import { systemRandom } from '../../src/core/random.js';
import { FakeClock } from '../support/fake-clock.js';

const FILES = {
  kind: 'file_watcher',
  certificateFile: '/c',
  privateKeyFile: '/k',
  caCertificateFile: '/r',
  spiffeTrustBundleMapFile: undefined,
  refreshIntervalMs: 600_000,
} as const;

function name(facts: Partial<IdentityFacts> & { readonly env?: NodeJS.ProcessEnv }, instance = 'default') {
  const { env = {}, ...given } = facts;
  const plan = planIdentity(instance, {
    option: undefined,
    environment: identityEnvironment(env),
    service: 'reviews',
    named: true,
    trustDomain: () => undefined,
    directory: undefined,
    controlPlane: undefined,
    bootstrap: () => undefined,
    clock: new FakeClock(),
    random: systemRandom,
    logger: silentLogger,
    ...given,
  });
  return plan?.name;
}

describe('where the identity of a workload comes from', () => {
  const bootstrap = (): ReadonlyMap<string, typeof FILES> =>
    new Map([
      ['default', FILES],
      ['other', FILES],
    ]);
  const env = { INMESH_CA: '10.0.0.1:1', SPIFFE_ENDPOINT_SOCKET: 'unix:///s' };

  test('is the option, INMESH_CA, the bootstrap, SPIFFE_ENDPOINT_SOCKET, the folder of an embedded configuration: the first that is there', () => {
    const all = { option: { directory: '/mine' }, env, bootstrap, directory: '/beside' };
    expect(name(all)).toBe('ca /mine');
    expect(name({ ...all, option: undefined })).toBe('ca 10.0.0.1:1');
    const { INMESH_CA: _, ...others } = env;
    expect(name({ ...all, option: undefined, env: others })).toBe('certificate_providers.default');
    expect(name({ env: others, directory: '/beside' })).toBe('workload API unix:///s');
    expect(name({ directory: '/beside' })).toBe('ca /beside');
  });

  test('is the CA of a control plane with a join token, and without one nobody', () => {
    expect(name({ controlPlane: '10.0.0.2:1' })).toBeUndefined();
    expect(name({ controlPlane: '10.0.0.2:1', env: { INMESH_JOIN_TOKEN: 't' } })).toBe('ca 10.0.0.2:1');
    expect(name({ controlPlane: '10.0.0.2:1', env: { INMESH_JOIN_TOKEN_FILE: '/t' } })).toBe('ca 10.0.0.2:1');
  });

  test('of other instances than the mesh’s own only the bootstrap knows', () => {
    expect(name({ bootstrap, directory: '/beside' }, 'other')).toBe('certificate_providers.other');
    expect(name({ bootstrap, directory: '/beside' }, 'nobody')).toBeUndefined();
  });

  test('of each kind has a name that shows no token', () => {
    const kinds: IdentityOption[] = [
      { files: { certificate: '/c', privateKey: '/k' } },
      { ca: { address: '10.0.0.1:1', joinToken: 'secret' } },
      { sds: 'unix:///s' },
      { workloadApi: 'unix:///w' },
      { source: memoryIdentity() },
      { directory: '/d' },
    ];
    expect(kinds.map((option) => name({ option }))).toEqual([
      'files /c',
      'ca 10.0.0.1:1',
      'SDS unix:///s',
      'workload API unix:///w',
      'memory',
      'ca /d',
    ]);
  });
});

describe('options.identity', () => {
  const problem = (value: unknown): string => {
    try {
      checkIdentity(value);
      return '';
    } catch (error) {
      if (error instanceof DecodeError) return error.message;
      throw error;
    }
  };

  test.each<[string, unknown]>([
    ['nothing', undefined],
    ['files', { files: { certificate: '/c', privateKey: '/k', refreshIntervalMs: 1_000 } }],
    ['an authority', { ca: '10.0.0.1:1' }],
    ['an authority with a token', { ca: { joinToken: 'a' } }],
    ['secrets over a socket', { sds: 'unix:///s' }],
    ['trust alone', { sds: { address: '127.0.0.1:1', certificate: false } }],
    ['the Workload API of the environment', { workloadApi: true }],
    ['a source', { source: memoryIdentity() }],
    ['a folder', { directory: '/d', spiffeId: 'spiffe://x/y' }],
  ])('may be %s', (_, value) => {
    expect(problem(value)).toBe('');
  });

  test.each<[string, unknown, string]>([
    ['no object', 'ca', 'options.identity: must be an object'],
    ['another kind', { file: {} }, 'did you mean "files"?'],
    ['two kinds', { ca: 'a:1', directory: '/d' }, 'has ca and directory'],
    ['an unknown field', { files: { cert: '/c' } }, 'options.identity.files.cert'],
    ['a number for a path', { files: { certificate: 7 } }, 'options.identity.files.certificate: must be'],
    ['a source that is none', { source: {} }, 'options.identity.source: must be an IdentitySource'],
    ['a private key over the network', { sds: '10.0.0.1:1' }, 'options.identity.sds: must be a Unix socket'],
  ])('is refused with %s', (_, value, message) => {
    expect(problem(value)).toContain(message);
  });

  test('a wrong token is not shown', () => {
    expect(problem({ ca: { joinToken: ['very', 'secret'] } })).toBe('options.identity.ca.joinToken: must be a string');
  });
});
