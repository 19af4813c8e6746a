import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { seededRandom } from '../../../src/core/random.js';
import {
  bootstrapFor,
  BootstrapError,
  hasBootstrap,
  listenerName,
  loadBootstrap,
  parseBootstrap,
} from '../../../src/xds/bootstrap/index.js';
import { loadCodec } from '../../../src/xds/wire/index.js';

const defaults = { service: 'shop', random: seededRandom(1) };
const server = { server_uri: 'xds:443', channel_creds: [{ type: 'insecure' }] };
const parse = (json: unknown) => parseBootstrap(json, defaults);

describe('a gRPC bootstrap', () => {
  test('is read as the ones of other gRPC languages are', () => {
    const bootstrap = parse({
      xds_servers: [
        {
          server_uri: 'xds.example:443',
          channel_creds: [{ type: 'google_default' }, { type: 'insecure' }],
          server_features: ['xds_v3', 'fail_on_data_errors', 'resource_timer_is_transient_error'],
        },
        server,
      ],
      node: {
        id: 'n1',
        cluster: 'c1',
        locality: { region: 'r', zone: 'z', sub_zone: 's' },
        metadata: { GENERATOR: 'grpc', deep: { list: [1, true, null] } },
        something_new: 1,
      },
      client_default_listener_resource_name_template: 'xdstp://a/envoy.config.listener.v3.Listener/%s',
      certificate_providers: {},
    });
    expect(bootstrap).toEqual({
      servers: [
        {
          uri: 'xds.example:443',
          credentials: { kind: 'insecure' },
          failOnDataErrors: true,
          resourceTimerIsTransientError: true,
        },
        {
          uri: 'xds:443',
          credentials: { kind: 'insecure' },
          failOnDataErrors: false,
          resourceTimerIsTransientError: false,
        },
      ],
      node: {
        id: 'n1',
        cluster: 'c1',
        locality: { region: 'r', zone: 'z', sub_zone: 's' },
        metadata: {
          fields: {
            GENERATOR: { string_value: 'grpc' },
            deep: {
              struct_value: {
                fields: {
                  list: {
                    list_value: {
                      values: [{ number_value: 1 }, { bool_value: true }, { null_value: 'NULL_VALUE' }],
                    },
                  },
                },
              },
            },
          },
        },
        user_agent_name: 'inmesh',
        client_features: ['envoy.lb.does_not_support_overprovisioning', 'xds.config.resource-in-sotw'],
      },
      listenerTemplate: 'xdstp://a/envoy.config.listener.v3.Listener/%s',
    });
  });

  test('makes a node that the wire can carry', async () => {
    const codec = await loadCodec();
    const { node } = parse({ xds_servers: [server], node: { metadata: { a: { b: [1] } }, locality: { zone: 'z' } } });
    const bytes = codec.encodeMessage('envoy.config.core.v3.Node', node);
    expect(codec.decodeMessage('envoy.config.core.v3.Node', bytes)).toEqual(node);
  });

  test('may leave out the node: its id is then the service, the host and a number nobody else has', () => {
    const first = bootstrapFor('127.0.0.1:18000', { ...defaults, version: '0.1.0' });
    const second = bootstrapFor('127.0.0.1:18000', defaults);
    expect(String(first.node.id).startsWith(`shop~${hostname()}~`)).toBe(true);
    expect(first.node.id).not.toBe(second.node.id);
    expect(first.node).toMatchObject({ cluster: 'shop', user_agent_name: 'inmesh', user_agent_version: '0.1.0' });
    expect(first.listenerTemplate).toBe('%s');
    expect(bootstrapFor('x:1', { ...defaults, nodeId: 'mine' }).node.id).toBe('mine');
  });

  test('tls credentials name their files', () => {
    const config = {
      ca_certificate_file: '/ca',
      certificate_file: '/c',
      private_key_file: '/k',
      refresh_interval: '60s',
    };
    const { servers } = parse({ xds_servers: [{ server_uri: 'a', channel_creds: [{ type: 'tls', config }] }] });
    expect(servers[0].credentials).toEqual({
      kind: 'tls',
      caCertificateFile: '/ca',
      certificateFile: '/c',
      privateKeyFile: '/k',
    });
    const bare = parse({ xds_servers: [{ server_uri: 'a', channel_creds: [{ type: 'tls' }] }] });
    expect(bare.servers[0].credentials).toMatchObject({ kind: 'tls', caCertificateFile: undefined });
  });

  const tls = (config: unknown): unknown => ({
    xds_servers: [{ server_uri: 'a', channel_creds: [{ type: 'tls', config }] }],
  });
  const wrong: [string, unknown, string][] = [
    ['no object', [], 'must be an object, got []'],
    ['no servers', {}, 'xds_servers: must be a list, got undefined'],
    ['an empty list of servers', { xds_servers: [] }, 'xds_servers: must name at least one server'],
    ['a server that is none', { xds_servers: ['a'] }, 'xds_servers[0]: must be an object, got "a"'],
    ['a server without a name', { xds_servers: [{}] }, 'xds_servers[0].server_uri: must be a string, got undefined'],
    [
      'an empty name',
      { xds_servers: [{ server_uri: '' }] },
      'xds_servers[0].server_uri: must be host:port or a gRPC target, got ""',
    ],
    [
      'no credentials',
      { xds_servers: [{ server_uri: 'a' }] },
      'xds_servers[0].channel_creds: must be a list, got undefined',
    ],
    [
      'credentials we lack',
      { xds_servers: [{ server_uri: 'a', channel_creds: [{ type: 'google_default' }] }] },
      'xds_servers[0].channel_creds: must offer "insecure" or "tls", got google_default',
    ],
    [
      'features that are no list',
      { xds_servers: [{ ...server, server_features: 'x' }] },
      'xds_servers[0].server_features: must be a list, got "x"',
    ],
    [
      'half a key pair',
      tls({ certificate_file: '/c' }),
      'xds_servers[0].channel_creds[0].config: certificate_file and private_key_file go together: set both or none',
    ],
    [
      'a wrong interval',
      tls({ refresh_interval: '1m' }),
      'xds_servers[0].channel_creds[0].config.refresh_interval: must be a duration such as "600s", got "1m"',
    ],
    ['a node id that is none', { xds_servers: [server], node: { id: 5 } }, 'node.id: must be a string, got 5'],
    [
      'a zone that is none',
      { xds_servers: [server], node: { locality: { zone: 5 } } },
      'node.locality.zone: must be a string, got 5',
    ],
    [
      'a template without a place for the name',
      { xds_servers: [server], client_default_listener_resource_name_template: 'x' },
      'client_default_listener_resource_name_template: must contain %s, which stands for the host that is called, got "x"',
    ],
  ];
  test.each(wrong)('%s is an error that names the place', (_name, json, message) => {
    expect(() => parse(json)).toThrow(expect.objectContaining({ name: 'DecodeError', message }));
  });
});

describe('the environment', () => {
  test('names a file before inline JSON', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'inmesh-bootstrap-'));
    const file = join(folder, 'bootstrap.json');
    await writeFile(file, JSON.stringify({ xds_servers: [{ ...server, server_uri: 'from-file' }] }));
    const inline = JSON.stringify({ xds_servers: [{ ...server, server_uri: 'inline' }] });
    const both = { GRPC_XDS_BOOTSTRAP: file, GRPC_XDS_BOOTSTRAP_CONFIG: inline };
    expect((await loadBootstrap(both, defaults))?.servers[0].uri).toBe('from-file');
    expect((await loadBootstrap({ GRPC_XDS_BOOTSTRAP_CONFIG: inline }, defaults))?.servers[0].uri).toBe('inline');
    await rm(folder, { recursive: true });
  });

  test('may name none', async () => {
    expect(hasBootstrap({})).toBe(false);
    expect(await loadBootstrap({}, defaults)).toBeUndefined();
  });

  test('that names something unusable is an error with variable and reason', async () => {
    const missing = { GRPC_XDS_BOOTSTRAP: '/nowhere/bootstrap.json' };
    expect(hasBootstrap(missing)).toBe(true);
    await expect(loadBootstrap(missing, defaults)).rejects.toThrow(
      /GRPC_XDS_BOOTSTRAP names a file that cannot be read: .*nowhere/,
    );
    const broken = loadBootstrap({ GRPC_XDS_BOOTSTRAP_CONFIG: '{' }, defaults);
    await expect(broken).rejects.toThrow(BootstrapError);
    const wrong = loadBootstrap({ GRPC_XDS_BOOTSTRAP_CONFIG: '{"xds_servers":5}' }, defaults);
    await expect(wrong).rejects.toThrow('GRPC_XDS_BOOTSTRAP_CONFIG: xds_servers: must be a list, got 5');
  });
});

test('a listener is named by the template, percent-encoded in xdstp', () => {
  expect(listenerName('%s', 'reviews:8080')).toBe('reviews:8080');
  expect(listenerName('mesh/%s/x', 'a$&b')).toBe('mesh/a$&b/x');
  expect(listenerName('xdstp://a/envoy.config.listener.v3.Listener/%s', 'a b/c:1')).toBe(
    'xdstp://a/envoy.config.listener.v3.Listener/a%20b%2Fc%3A1',
  );
});
