import { describe, expect, test } from 'vitest';
import { LISTENER, type Resource } from '../../../src/core/resources.js';
import type { ClientListener } from '../../../src/xds/resources/listener.js';
import { decoders } from '../../support/decoders.js';
import { refusal } from '../../support/refusal.js';
import { ads, any, connectionManager, listenerResource, routerFilter } from '../../support/xds-resources.js';

const decode = (resource: Resource): ClientListener => {
  const listener = decoders[LISTENER](resource, 'reviews');
  if (listener.kind === 'server') throw new Error('is a listener for a server');
  return listener;
};
const withHcm = (fields: Resource) => decode(listenerResource('reviews', 'routes', fields));
const FAULT = 'envoy.extensions.filters.http.fault.v3.HTTPFault';

const HCM = 'api_listener.api_listener';

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
    const inline = { name: 'reviews', api_listener: { api_listener: connectionManager({ route_config: {} }) } };
    expect(decode(inline).routes).toEqual({
      kind: 'inline',
      config: { name: '', ignorePort: false, virtualHosts: [] },
    });
  });

  test('keeps max_stream_duration of the connection manager and leaves its idle_timeout alone (A31)', () => {
    const common = { max_stream_duration: { seconds: 1, nanos: 500_000_000 }, idle_timeout: { seconds: 9 } };
    expect(withHcm({ common_http_protocol_options: common }).maxStreamDurationMs).toBe(1_500);
  });

  test('is frozen in depth', () => {
    const listener = decode(listenerResource('reviews', 'routes'));
    expect(Object.isFrozen(listener)).toBe(true);
    expect(Object.isFrozen(listener.routes)).toBe(true);
  });
});

describe('a listener is refused', () => {
  test.each<[string, () => unknown, string]>([
    [
      'when it has neither api_listener nor address',
      () => decode({ name: 'reviews' }),
      'must have api_listener (for a client) or address (for a server)',
    ],
    [
      'when api_listener is no HttpConnectionManager',
      () => decode({ name: 'reviews', api_listener: { api_listener: any('x.Y') } }),
      `${HCM}: must be a envoy`,
    ],
    [
      'when xff_num_trusted_hops is not 0',
      () => withHcm({ xff_num_trusted_hops: 1 }),
      `${HCM}.xff_num_trusted_hops: must be 0`,
    ],
    [
      'when original_ip_detection_extensions is set',
      () => withHcm({ original_ip_detection_extensions: [{ name: 'x' }] }),
      `${HCM}.original_ip_detection_extensions`,
    ],
    [
      'when RDS comes from neither ads nor self',
      () => withHcm({ rds: { config_source: { path: '/x' }, route_config_name: 'r' } }),
      `${HCM}.rds.config_source: must be ads or self`,
    ],
    [
      'when RDS has no config source',
      () => withHcm({ rds: { route_config_name: 'r' } }),
      `${HCM}.rds.config_source: must be set`,
    ],
    [
      'when route_config_name is empty',
      () => withHcm({ rds: { config_source: ads } }),
      `${HCM}.rds.route_config_name: must be set and not empty`,
    ],
    [
      'when it has neither rds nor route_config',
      () => decode({ name: 'reviews', api_listener: { api_listener: connectionManager({}) } }),
      `${HCM}: must have rds or route_config`,
    ],
    [
      'when it has scoped routes',
      () => decode({ name: 'reviews', api_listener: { api_listener: connectionManager({ scoped_routes: {} }) } }),
      `${HCM}: must have rds or route_config`,
    ],
    ['when http_filters is empty', () => withHcm({ http_filters: [] }), `${HCM}.http_filters: must not be empty`],
    [
      'when a filter has no name',
      () => withHcm({ http_filters: [{ typed_config: routerFilter['typed_config'] }] }),
      `${HCM}.http_filters[0].name`,
    ],
    [
      'when a filter’s name is repeated',
      () => withHcm({ http_filters: [routerFilter, routerFilter] }),
      `${HCM}.http_filters[1].name: must not be repeated`,
    ],
    [
      'when a filter of unknown type is not optional',
      () => withHcm({ http_filters: [{ name: 'x', typed_config: any('x.Y') }, routerFilter] }),
      `${HCM}.http_filters[0].typed_config: filter "x.Y" is not supported`,
    ],
    [
      'when a filter only servers run is not optional',
      () =>
        withHcm({
          http_filters: [
            { name: 'rbac', typed_config: any('envoy.extensions.filters.http.rbac.v3.RBAC') },
            routerFilter,
          ],
        }),
      'rbac.v3.RBAC" is not supported',
    ],
    [
      'when the terminal filter is not the last',
      () => withHcm({ http_filters: [routerFilter, { name: 'f', typed_config: any(FAULT) }] }),
      `${HCM}.http_filters[0]: is a terminal filter`,
    ],
    [
      'when the last filter is not terminal',
      () => withHcm({ http_filters: [{ name: 'f', typed_config: any(FAULT) }] }),
      `${HCM}.http_filters[0]: is the last filter`,
    ],
    [
      'when a fault is to be injected',
      () => withHcm({ http_filters: [{ name: 'f', typed_config: any(FAULT, { abort: {} }) }, routerFilter] }),
      `${HCM}.http_filters[0].typed_config`,
    ],
    [
      'when its name is not that of the resource',
      () => decode(listenerResource('other', 'r')),
      'name: must be the name of the resource, "reviews", got "other"',
    ],
    ['when its name is empty', () => decode(listenerResource('', 'r')), 'name: must be set and not empty'],
  ])('%s', (_, read, message) => {
    expect(refusal(read)).toContain(message);
  });
});

describe('HTTP filters', () => {
  test('an optional filter that is not known is left out', () => {
    const filters = [{ name: 'x', is_optional: true, typed_config: any('x.Y') }, routerFilter];
    expect(withHcm({ http_filters: filters }).routes.kind).toBe('rds');
  });

  test('a fault filter that does nothing passes, as Istio sends one', () => {
    const filters = [{ name: 'f', typed_config: any(FAULT) }, routerFilter];
    expect(withHcm({ http_filters: filters }).routes.kind).toBe('rds');
  });

  test('a TypedStruct counts as the type that it carries', () => {
    const wrapped = any('xds.type.v3.TypedStruct', { type_url: 'type.googleapis.com/x.Y', value: { fields: {} } });
    expect(refusal(() => withHcm({ http_filters: [{ name: 'x', typed_config: wrapped }, routerFilter] }))).toContain(
      'filter "x.Y" is not supported',
    );
  });
});
