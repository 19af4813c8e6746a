import { describe, expect, test } from 'vitest';
import { ENDPOINT, type Resource } from '../../../src/core/resources.js';
import { decoders } from '../../support/decoders.js';
import { refusal } from '../../support/refusal.js';
import { endpointResource, lbEndpoint, locality, numberValue, struct } from '../../support/xds-resources.js';

const decode = (fields: Resource) => decoders[ENDPOINT]({ cluster_name: 'c', ...fields }, 'c');
const endpoints = (...localities: Resource[]) => decode({ endpoints: localities }).endpoints;
const one = (fields: Resource = {}) => endpoints(locality([lbEndpoint('10.0.0.1', 80, fields)]));
const weight = (value: number): Resource => ({ load_balancing_weight: { value } });
const ip = (n: number) => lbEndpoint(`10.0.0.${n}`, 80);

describe('an assignment', () => {
  test('has all that is known of an endpoint', () => {
    const full = {
      endpoint: {
        address: { socket_address: { address: '10.0.0.1', port_value: 80 } },
        additional_addresses: [{ address: { socket_address: { address: 'fd00::1', port_value: 80 } } }],
        hostname: 'pod-1',
      },
      health_status: 'HEALTHY',
      load_balancing_weight: { value: 3 },
      metadata: {
        filter_metadata: {
          'envoy.lb': struct({
            version: { string_value: 'v2' },
            canary: { bool_value: true },
            rank: numberValue(2),
            list: { list_value: {} },
          }),
          'inmesh.dev': struct({ team: { string_value: 'a' } }),
        },
      },
    };
    const place = { locality: { region: 'r', zone: 'z', sub_zone: 's' }, load_balancing_weight: { value: 5 } };
    expect(endpoints(locality([full], place))).toEqual([
      {
        key: '10.0.0.1:80',
        addresses: [
          { host: '10.0.0.1', port: 80 },
          { host: 'fd00::1', port: 80 },
        ],
        hostname: 'pod-1',
        weight: 3,
        locality: { region: 'r', zone: 'z', subZone: 's' },
        localityWeight: 5,
        priority: 0,
        health: 'healthy',
        labels: { version: 'v2', canary: 'true', rank: '2', team: 'a' },
      },
    ]);
  });

  test('may have no endpoints', () => {
    expect(decode({})).toEqual({ endpoints: [], drops: [] });
  });

  test('keeps all, with their health: who must get no calls is for the balancer to say (A27, A55, Envoy)', () => {
    const statuses = [undefined, 'HEALTHY', 'UNHEALTHY', 'DRAINING', 'TIMEOUT', 'DEGRADED'];
    const found = endpoints(
      locality(
        statuses.map((health_status, i) => lbEndpoint('10.0.0.1', i + 1, health_status ? { health_status } : {})),
      ),
    );
    expect(found.map(({ key, health }) => [key, health])).toEqual([
      ['10.0.0.1:1', 'unknown'],
      ['10.0.0.1:2', 'healthy'],
      ['10.0.0.1:3', 'unhealthy'],
      ['10.0.0.1:4', 'draining'],
      ['10.0.0.1:5', 'unhealthy'],
      ['10.0.0.1:6', 'degraded'],
    ]);
  });

  test('has a port and a name for checks', () => {
    const checked = (health_check_config: Resource) => {
      const { endpoint, ...rest } = ip(1) as { endpoint: Resource };
      return endpoints(locality([{ ...rest, endpoint: { ...endpoint, health_check_config } }]))[0];
    };
    expect(checked({ port_value: 9_000, hostname: 'h' })).toMatchObject({
      healthCheckPort: 9_000,
      healthCheckHost: 'h',
    });
    expect(checked({})).toMatchObject({ healthCheckPort: undefined, healthCheckHost: undefined });
    expect(refusal(() => checked({ port_value: 65_536 }))).toContain('port_value: must be at most 65535');
    expect(refusal(() => checked({ hostname: 'a\nb' }))).toContain('health_check_config.hostname: must be a host name');
  });

  test('has a key to hash in its metadata (A76)', () => {
    const keyed = (fields: Record<string, Resource>) =>
      endpoints(
        locality([lbEndpoint('10.0.0.1', 80, { metadata: { filter_metadata: { 'envoy.lb': struct(fields) } } })]),
      )[0]?.hashKey;
    expect(keyed({ hash_key: { string_value: 'k' } })).toBe('k');
    expect(keyed({ hash_key: { number_value: 7 } })).toBe('7');
    expect(keyed({ hash_key: { string_value: '' } })).toBeUndefined();
    expect(keyed({})).toBeUndefined();
  });

  test('goes over to lower priorities as Envoy does only when it is told how far it may', () => {
    const of = (policy?: Resource) => decode({ endpoints: [locality([ip(1)])], policy }).priorities;
    expect(of()).toBeUndefined();
    expect(of({})).toBeUndefined();
    expect(of({ overprovisioning_factor: { value: 140 } })).toEqual({ overprovisioningFactor: 1.4 });
    expect(refusal(() => of({ overprovisioning_factor: {} }))).toContain(
      'overprovisioning_factor: must be greater than 0',
    );
  });

  test('a locality without a weight, or with 0, is left out (A27)', () => {
    const found = endpoints(
      { locality: { zone: 'a' }, lb_endpoints: [ip(1)] },
      { locality: { zone: 'b' }, lb_endpoints: [ip(2)], load_balancing_weight: {} },
      locality([ip(3)]),
    );
    expect(found.map(({ key }) => key)).toEqual(['10.0.0.3:80']);
  });

  test('one that is left out leaves a gap no more than it fills one', () => {
    expect(endpoints(locality([ip(1)]), { locality: { zone: 'b' }, priority: 7, lb_endpoints: [ip(2)] })).toHaveLength(
      1,
    );
  });

  test('labels named like an object’s own properties are labels like others', () => {
    const labels = one({
      metadata: {
        filter_metadata: {
          'envoy.lb': JSON.parse('{"fields":{"__proto__":{"string_value":"x"},"constructor":{"string_value":"y"}}}'),
        },
      },
    })[0]?.labels;
    expect(Object.entries(labels ?? {})).toEqual([
      ['__proto__', 'x'],
      ['constructor', 'y'],
    ]);
  });

  test('drops are shares', () => {
    const drop_overloads = [
      { category: 'lb', drop_percentage: { numerator: 5 } },
      { category: 'throttle', drop_percentage: { numerator: 4_000_000_000, denominator: 'MILLION' } },
      { category: 'none' },
    ];
    expect(decode({ policy: { drop_overloads } }).drops).toEqual([
      { category: 'lb', share: 0.05 },
      { category: 'throttle', share: 1 },
      { category: 'none', share: 0 },
    ]);
  });

  test('is frozen in depth', () => {
    const { endpoints: found } = decoders[ENDPOINT](endpointResource('c', 1), 'c');
    expect([found, found[0], found[0]?.addresses, found[0]?.labels, found[0]?.locality].every(Object.isFrozen)).toBe(
      true,
    );
  });
});

describe('an assignment is refused', () => {
  const address = (socket_address: Resource) => () =>
    endpoints(locality([{ endpoint: { address: { socket_address } } }]));
  test.each<[string, () => unknown, string]>([
    [
      'when a locality is missing',
      () => endpoints({ ...weight(1), lb_endpoints: [ip(1)] }),
      'endpoints[0].locality: must be set',
    ],
    [
      'when a locality is repeated in a priority',
      () => endpoints(locality([ip(1)]), locality([ip(2)])),
      'endpoints[1].locality: must not be repeated in priority 0',
    ],
    [
      'when there is a gap between priorities',
      () => endpoints(locality([ip(1)]), locality([ip(2)], { priority: 2 })),
      'endpoints: priorities must have no gap, but there is none with priority 1',
    ],
    [
      'when there is no priority 0',
      () => endpoints(locality([ip(1)], { priority: 1 })),
      'there is none with priority 0',
    ],
    [
      'when a priority is above 128',
      () => endpoints(locality([], { priority: 129 })),
      'endpoints[0].priority: must be at most 128',
    ],
    [
      'when locality weights of a priority add up to more than 2^32-1',
      () => endpoints(locality([], weight(4_294_967_295)), locality([], { locality: { zone: 'b' }, ...weight(1) })),
      'endpoints[1].load_balancing_weight: weights of priority 0',
    ],
    [
      'when endpoint weights of a locality add up to more than 2^32-1',
      () => endpoints(locality([{ ...ip(1), ...weight(4_294_967_295) }, ip(2)])),
      'endpoints[0].lb_endpoints[1].load_balancing_weight: weights of a locality',
    ],
    [
      'when an endpoint’s weight is 0',
      () => one({ load_balancing_weight: {} }),
      'endpoints[0].lb_endpoints[0].load_balancing_weight: must be greater than 0',
    ],
    [
      'when an address is there twice',
      () => endpoints(locality([ip(1), ip(1)])),
      'endpoints[0].lb_endpoints[1].endpoint.address: must not be repeated in the cluster, got 10.0.0.1:80 again',
    ],
    [
      'when an address is no IP',
      address({ address: 'example.com', port_value: 80 }),
      'address.socket_address.address: must be an IP address',
    ],
    [
      'when an address is no socket address',
      () => endpoints(locality([{ endpoint: { address: { pipe: {} } } }])),
      'endpoint.address: must be a socket_address',
    ],
    ['when a port is missing', address({ address: '10.0.0.1' }), 'port_value: must be from 1 to 65535, got 0'],
    [
      'when a port is too large',
      address({ address: '10.0.0.1', port_value: 65_536 }),
      'port_value: must be from 1 to 65535',
    ],
    ['when a port is named', address({ address: '10.0.0.1', named_port: 'http' }), 'named_port: is not supported'],
    [
      'when the protocol is UDP',
      address({ address: '10.0.0.1', port_value: 1, protocol: 'UDP' }),
      'protocol: must be one of TCP',
    ],
    [
      'when an endpoint is referred to by name',
      () => endpoints(locality([{ endpoint_name: 'x' }])),
      'endpoints[0].lb_endpoints[0]: must have endpoint',
    ],
    [
      'when endpoints come over LEDS',
      () => endpoints(locality([], { leds_cluster_locality_config: {} })),
      'endpoints[0]: only lb_endpoints',
    ],
    [
      'when a drop’s denominator is not known',
      () => decode({ policy: { drop_overloads: [{ category: 'x', drop_percentage: { denominator: 3 } }] } }),
      'policy.drop_overloads[0].drop_percentage.denominator',
    ],
    [
      'when a drop has no category',
      () => decode({ policy: { drop_overloads: [{}] } }),
      'policy.drop_overloads[0].category',
    ],
    ['when a health status is not known', () => one({ health_status: 42 }), 'health_status: must be one of'],
    ['when the cluster’s name is missing', () => decoders[ENDPOINT]({}, 'c'), 'cluster_name: must be set'],
  ])('%s', (_, read, message) => {
    expect(refusal(read)).toContain(message);
  });
});
