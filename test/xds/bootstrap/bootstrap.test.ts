import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import {
  bootstrapFor,
  BootstrapError,
  type BootstrapJson,
  hasBootstrap,
  loadBootstrap,
} from '../../../src/xds/bootstrap/index.js';
import { loadCodec } from '../../../src/xds/wire/index.js';
import { decodeError, defaults, parse, server } from './support.js';

const CLIENT_FEATURES = [
  'envoy.lb.does_not_support_overprovisioning',
  'xds.config.resource-in-sotw',
  'xds.config.supports-resource-ttl',
];

describe('a gRPC bootstrap', () => {
  test('is read as the ones of other gRPC languages are', () => {
    const bootstrap = parse({
      xds_servers: [
        {
          server_uri: 'xds.example:443',
          channel_creds: [{ type: 'alts' }, { type: 'insecure' }],
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
      server_listener_resource_name_template: 'grpc/server?address=%s',
      certificate_providers: {},
    });
    expect(bootstrap).toEqual({
      servers: [
        {
          uri: 'xds.example:443',
          credentials: { kind: 'insecure' },
          callCredentials: [],
          apiType: 'AGGREGATED_GRPC',
          features: {
            failOnDataErrors: true,
            resourceTimerIsTransientError: true,
            trusted: false,
          },
        },
        {
          uri: 'xds:443',
          credentials: { kind: 'insecure' },
          callCredentials: [],
          apiType: 'AGGREGATED_GRPC',
          features: {
            failOnDataErrors: false,
            resourceTimerIsTransientError: false,
            trusted: false,
          },
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
        client_features: CLIENT_FEATURES,
      },
      listenerTemplate: 'xdstp://a/envoy.config.listener.v3.Listener/%s',
      serverListenerTemplate: 'grpc/server?address=%s',
      certificateProviders: new Map(),
      authorities: new Map(),
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

  test('is read in the same way when it is an object made in code', () => {
    const made: BootstrapJson = {
      xds_servers: [{ ...server, api_type: 'AGGREGATED_DELTA_GRPC' }],
      node: { id: 'n1', metadata: { kept: 1, left_out: undefined } },
    };
    const fromCode = parse(made);
    expect(fromCode).toEqual(parse(JSON.parse(JSON.stringify(made))));
    expect(fromCode.node['metadata']).toEqual({ fields: { kept: { number_value: 1 } } });
  });

  test('without templates asks for the authority as it is, and has no servers', () => {
    for (const none of [undefined, '']) {
      const bootstrap = parse({
        xds_servers: [server],
        client_default_listener_resource_name_template: none,
        server_listener_resource_name_template: none,
      });
      expect(bootstrap).toMatchObject({ listenerTemplate: '%s', serverListenerTemplate: undefined });
    }
  });

  test('given as an address means a server that the application itself named: trusted', () => {
    expect(bootstrapFor('x:1', defaults).servers[0].features.trusted).toBe(true);
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
    ['a node id that is none', { xds_servers: [server], node: { id: 5 } }, 'node.id: must be a string, got 5'],
    [
      'a zone that is none',
      { xds_servers: [server], node: { locality: { zone: 5 } } },
      'node.locality.zone: must be a string, got 5',
    ],
    [
      'metadata that cannot be JSON',
      { xds_servers: [server], node: { metadata: { at: () => 1 } } },
      'node.metadata.at: must be JSON, got a function',
    ],
    [
      'a template that is none',
      { xds_servers: [server], client_default_listener_resource_name_template: 5 },
      'client_default_listener_resource_name_template: must be a string, got 5',
    ],
    [
      'a server template that is none',
      { xds_servers: [server], server_listener_resource_name_template: ['%s'] },
      'server_listener_resource_name_template: must be a string, got ["%s"]',
    ],
  ];
  test.each(wrong)('%s is an error that names the place', (_name, json, message) => {
    expect(() => parse(json)).toThrow(decodeError(message));
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
