import { describe, expect, test } from 'vitest';
import { LISTENER, type Resource } from '../../../src/core/resources.js';
import type { ClientListener } from '../../../src/xds/resources/listener.js';
import { decoders } from '../../support/decoders.js';
import { acceptsBy, refusesBy, type Leniency, type Rule } from '../../support/xds-rules.js';
import { ads, any, connectionManager, listenerResource } from '../../support/xds-resources.js';

const decode = (resource: Resource): ClientListener => {
  const listener = decoders[LISTENER](resource, 'reviews');
  if (listener.kind !== 'api') throw new Error('is no listener for a client');
  return listener;
};
const hcm = (fields: Resource): Resource => listenerResource('reviews', 'routes', fields);
const apiListener = (api_listener: Resource): Resource => ({ name: 'reviews', api_listener: { api_listener } });

const HCM = 'api_listener.api_listener';

const NACKED: readonly Rule[] = [
  {
    rule: 'its name is empty',
    source: 'xds_protocol',
    resource: listenerResource('', 'r'),
    problem: 'name: must be set and not empty',
  },
  {
    rule: 'its name is not that of the resource',
    source: 'xds_protocol',
    resource: listenerResource('other', 'r'),
    problem: 'name: must be the name of the resource, "reviews", got "other"',
  },
  {
    rule: 'it has neither api_listener nor address',
    source: 'A27',
    resource: { name: 'reviews' },
    problem: 'must have api_listener (for a client) or address (for a server)',
  },
  {
    rule: 'api_listener is empty',
    source: 'A27',
    resource: { name: 'reviews', api_listener: {} },
    problem: `${HCM}: must be set`,
  },
  {
    rule: 'api_listener is no HttpConnectionManager',
    source: 'A27',
    resource: apiListener(any('x.Y')),
    problem: `${HCM}: must be a envoy`,
  },
  {
    rule: 'xff_num_trusted_hops is not 0',
    source: 'A41',
    resource: hcm({ xff_num_trusted_hops: 1 }),
    problem: `${HCM}.xff_num_trusted_hops: must be 0`,
  },
  {
    rule: 'original_ip_detection_extensions is set',
    source: 'A41',
    resource: hcm({ original_ip_detection_extensions: [{ name: 'x' }] }),
    problem: `${HCM}.original_ip_detection_extensions: must be empty`,
  },
  {
    rule: 'RDS comes from neither ads nor self',
    source: 'A27',
    resource: hcm({ rds: { config_source: { path: '/x' }, route_config_name: 'r' } }),
    problem: `${HCM}.rds.config_source: must be ads or self`,
  },
  {
    rule: 'RDS has no config source',
    source: 'A27',
    resource: hcm({ rds: { route_config_name: 'r' } }),
    problem: `${HCM}.rds.config_source: must be set`,
  },
  {
    rule: 'route_config_name is empty',
    source: 'A27',
    resource: hcm({ rds: { config_source: ads } }),
    problem: `${HCM}.rds.route_config_name: must be set and not empty`,
  },
  {
    rule: 'it has neither rds nor route_config',
    source: 'A27',
    resource: apiListener(connectionManager({})),
    problem: `${HCM}: must have rds or route_config`,
  },
  {
    rule: 'it has scoped_routes',
    source: 'A27',
    resource: apiListener(connectionManager({ scoped_routes: {} })),
    problem: `${HCM}: must have rds or route_config`,
  },
  {
    rule: 'its inline route_config is invalid',
    source: 'A28',
    resource: apiListener(connectionManager({ route_config: { virtual_hosts: [{ name: 'v' }] } })),
    problem: `${HCM}.route_config.virtual_hosts[0].domains: must have at least one domain`,
  },
  {
    rule: 'max_stream_duration is negative',
    source: 'A31',
    resource: hcm({ common_http_protocol_options: { max_stream_duration: { seconds: -1 } } }),
    problem: `${HCM}.common_http_protocol_options.max_stream_duration: must be a duration`,
  },
];

const ACCEPTED: readonly Leniency[] = [
  {
    rule: 'RDS comes from self',
    source: 'A27',
    resource: hcm({ rds: { config_source: { self: {} }, route_config_name: 'r' } }),
  },
  {
    rule: 'it has an address beside its api_listener, and listener_filters',
    source: 'A27',
    resource: { ...hcm({}), address: {}, listener_filters: [{ name: 'x' }] },
  },
  {
    rule: 'the connection manager has settings that only a proxy has use for',
    source: 'A27',
    resource: hcm({ stat_prefix: 'x', use_remote_address: { value: true }, server_name: 'x', skip_xff_append: true }),
  },
];

refusesBy('LDS client', decode, NACKED);
acceptsBy('LDS client', decode, ACCEPTED);

describe('a listener for a client', () => {
  test('names the route configuration to ask for', () => {
    expect(decode(listenerResource('reviews', 'routes'))).toEqual({
      kind: 'api',
      name: 'reviews',
      routes: { kind: 'rds', name: 'routes' },
      maxStreamDurationMs: undefined,
    });
  });

  test('may carry its route configuration', () => {
    expect(decode(apiListener(connectionManager({ route_config: {} }))).routes).toEqual({
      kind: 'inline',
      config: { name: '', ignorePort: false, virtualHosts: [] },
    });
  });

  test('keeps max_stream_duration of the connection manager and leaves its idle_timeout alone (A31)', () => {
    const common = { max_stream_duration: { seconds: 1, nanos: 500_000_000 }, idle_timeout: { seconds: 9 } };
    expect(decode(hcm({ common_http_protocol_options: common })).maxStreamDurationMs).toBe(1_500);
  });

  test('is frozen in depth', () => {
    const listener = decode(listenerResource('reviews', 'routes'));
    expect(Object.isFrozen(listener)).toBe(true);
    expect(Object.isFrozen(listener.routes)).toBe(true);
  });
});
