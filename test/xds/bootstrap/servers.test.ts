import { describe, expect, test } from 'vitest';
import { decodeError, parse, parseServer, server } from './support.js';

const tls = (config?: unknown) => parseServer({ channel_creds: [{ type: 'tls', config }] });

const NO_FILES = { caCertificateFile: undefined, certificateFile: undefined, privateKeyFile: undefined };

describe('channel credentials', () => {
  test('tls names its files and how often they are read (A65)', () => {
    const config = {
      ca_certificate_file: '/ca',
      certificate_file: '/c',
      private_key_file: '/k',
      refresh_interval: '60.5s',
    };
    expect(tls(config).credentials).toEqual({
      kind: 'tls',
      caCertificateFile: '/ca',
      certificateFile: '/c',
      privateKeyFile: '/k',
      refreshIntervalMs: 60_500,
    });
  });

  test('tls needs no config: the roots of the system, read every 600 s (A65)', () => {
    expect(tls().credentials).toEqual({ kind: 'tls', ...NO_FILES, refreshIntervalMs: 600_000 });
  });

  test('files are not read more often than once a second', () => {
    expect(tls({ refresh_interval: '0s' }).credentials).toMatchObject({ refreshIntervalMs: 1_000 });
  });

  test('google_default is TLS with the roots of the system', () => {
    const { credentials } = parseServer({
      channel_creds: [{ type: 'google_default', config: { ca_certificate_file: 5 } }],
    });
    expect(credentials).toEqual({ kind: 'tls', ...NO_FILES, refreshIntervalMs: 600_000 });
  });

  test('the first of a type that is known is used, and what follows is not looked at (A27)', () => {
    const { credentials } = parseServer({
      channel_creds: [{ type: 'alts', config: 7 }, { type: 'insecure' }, { type: 'tls', config: 7 }, 'nonsense'],
    });
    expect(credentials).toEqual({ kind: 'insecure' });
  });
});

describe('call credentials (A97)', () => {
  test('all of types that are known are used, the others ignored', () => {
    const { callCredentials } = parseServer({
      call_creds: [
        { type: 'jwt_token_file', config: { jwt_token_file: '/a' } },
        { type: 'somebody_elses', config: 5 },
        { type: 'jwt_token_file', config: { jwt_token_file: '/b', unknown: 1 } },
      ],
    });
    expect(callCredentials).toEqual([
      { kind: 'jwt_token_file', file: '/a' },
      { kind: 'jwt_token_file', file: '/b' },
    ]);
  });

  test('are optional', () => {
    expect(parseServer({}).callCredentials).toEqual([]);
    expect(parseServer({ call_creds: [] }).callCredentials).toEqual([]);
  });
});

describe('server features', () => {
  test.each([
    ['fail_on_data_errors', 'failOnDataErrors'],
    ['resource_timer_is_transient_error', 'resourceTimerIsTransientError'],
    ['resource_timer_is_transient_failure', 'resourceTimerIsTransientError'],
    ['trusted_xds_server', 'trusted'],
  ] as const)('%s is understood; unknown ones are ignored', (feature, field) => {
    const { features } = parseServer({ server_features: ['xds_v3', feature, 'of_tomorrow'] });
    const off = {
      failOnDataErrors: false,
      resourceTimerIsTransientError: false,
      trusted: false,
    };
    expect(features).toEqual({ ...off, [field]: true });
  });

  test('ignore_resource_deletion (A53) is one of those that say nothing: "gRPC will ignore that server feature" (A88)', () => {
    expect(parseServer({ server_features: ['ignore_resource_deletion'] })).toEqual(parseServer({}));
  });
});

test.each(['GRPC', 'DELTA_GRPC', 'AGGREGATED_GRPC', 'AGGREGATED_DELTA_GRPC'])('api_type may be %s', (type) => {
  expect(parseServer({ api_type: type }).apiType).toBe(type);
});

const at = 'xds_servers[0]';
const wrong: [string, object, string][] = [
  ['no credentials', { channel_creds: undefined }, `${at}.channel_creds: must be a list, got undefined`],
  [
    'an empty list of credentials',
    { channel_creds: [] },
    `${at}.channel_creds: must offer one of insecure, inmesh_identity, tls, google_default; got nothing`,
  ],
  [
    'credentials that nobody here has',
    { channel_creds: [{ type: 'alts' }, { type: 'local' }] },
    `${at}.channel_creds: must offer one of insecure, inmesh_identity, tls, google_default; got alts, local`,
  ],
  [
    'credentials without a type',
    { channel_creds: [{}] },
    `${at}.channel_creds[0].type: must be a string, got undefined`,
  ],
  [
    'a config that is none',
    { channel_creds: [{ type: 'tls', config: [] }] },
    `${at}.channel_creds[0].config: must be an object, got []`,
  ],
  [
    'half a key pair',
    { channel_creds: [{ type: 'tls', config: { certificate_file: '/c' } }] },
    `${at}.channel_creds[0].config: certificate_file and private_key_file go together: set both or none`,
  ],
  [
    'a file without a name',
    { channel_creds: [{ type: 'tls', config: { ca_certificate_file: '' } }] },
    `${at}.channel_creds[0].config.ca_certificate_file: must be the path of a file, got ""`,
  ],
  ...['1m', '-1s', 60, '1e3s', '315576000001s', '.5s'].map((interval): [string, object, string] => [
    `an interval of ${interval}`,
    { channel_creds: [{ type: 'tls', config: { refresh_interval: interval } }] },
    `${at}.channel_creds[0].config.refresh_interval: must be a duration such as "600s", got ${JSON.stringify(interval)}`,
  ]),
  ['call credentials that are no list', { call_creds: {} }, `${at}.call_creds: must be a list, got {}`],
  [
    'call credentials without a type',
    { call_creds: [{ type: 1 }] },
    `${at}.call_creds[0].type: must be a string, got 1`,
  ],
  [
    'a token file that is not named',
    { call_creds: [{ type: 'jwt_token_file' }] },
    `${at}.call_creds[0].config.jwt_token_file: must be the path of a file, got undefined`,
  ],
  ['features that are no list', { server_features: 'x' }, `${at}.server_features: must be a list, got "x"`],
  ['a feature that is no name', { server_features: ['a', 1] }, `${at}.server_features[1]: must be a string, got 1`],
  [
    'a way to ask that nobody knows',
    { api_type: 'REST' },
    `${at}.api_type: must be one of AGGREGATED_GRPC, AGGREGATED_DELTA_GRPC, GRPC, DELTA_GRPC; got "REST"`,
  ],
];
test.each(wrong)('%s is an error that names the place', (_name, fields, message) => {
  expect(() => parse({ xds_servers: [{ ...server, ...fields }] })).toThrow(decodeError(message));
});
