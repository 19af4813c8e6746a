import { describe, expect, test } from 'vitest';
import type { Resource } from '../../../src/core/resources.js';
import {
  clusterOf,
  compileYaml,
  endpointsOf,
  listenersOf,
  policyYaml,
  routesOf,
  serviceYaml,
} from '../../support/mesh-yaml.js';

const ADS = { ads: {}, resource_api_version: 'V3' };
const policiesOf = (text: string): string[] =>
  clusterOf(compileYaml(text), 'a.default:80').load_balancing_policy.policies.map(
    (policy: { typed_extension_config: { name: string } }) => policy.typed_extension_config.name,
  );

describe('names', () => {
  const FORMS = ['a', 'a.default', 'a.default.svc', 'a.default.svc.cluster.local'];

  test('a Service without ports answers to every form of its name, bare and with :80', () => {
    expect(listenersOf(compileYaml(serviceYaml('a')))).toEqual(FORMS.flatMap((form) => [form, `${form}:80`]));
  });

  test('without a port a name means port 80', () => {
    const result = compileYaml(
      serviceYaml('a', 'ports: [{ name: x, port: 8080 }, { name: y, port: 80 }], endpoints: [10.0.0.1]'),
    );
    expect(listenersOf(result)).toEqual([
      ...FORMS.map((form) => `${form}:8080`),
      ...FORMS.flatMap((form) => [form, `${form}:80`]),
    ]);
  });

  test('without a port and without port 80 it means the first', () => {
    const result = compileYaml(
      serviceYaml('a', 'ports: [{ name: x, port: 8080 }, { name: y, port: 9090 }], endpoints: [10.0.0.1]'),
    );
    expect(listenersOf(result)).toEqual([
      ...FORMS.flatMap((form) => [form, `${form}:8080`]),
      ...FORMS.map((form) => `${form}:9090`),
    ]);
  });

  test('all forms share the routes of their port, which match every host', () => {
    const { resources } = compileYaml(serviceYaml('a'));
    const [, , listeners, routes] = Object.values(resources);
    for (const listener of listeners?.values() ?? []) {
      expect(JSON.stringify(listener)).toContain('"route_config_name":"a.default:80"');
    }
    expect([...(routes?.values() ?? [])]).toEqual([
      {
        name: 'a.default:80',
        virtual_hosts: [
          {
            name: 'a.default:80',
            domains: ['*'],
            routes: [{ name: 'default', match: { prefix: '/' }, route: { cluster: 'a.default:80' } }],
          },
        ],
      },
    ]);
  });

  test('of two Services with one name the one in namespace "default" has the bare name', () => {
    const names = listenersOf(compileYaml(serviceYaml('a', 'endpoints: []', 'namespace: prod') + serviceYaml('a')));
    expect(names.filter((name) => !name.includes(':'))).toEqual([
      ...FORMS,
      'a.prod',
      'a.prod.svc',
      'a.prod.svc.cluster.local',
    ]);
  });

  test('a Service that is the only one of its name has it, in whatever namespace', () => {
    expect(listenersOf(compileYaml(serviceYaml('a', 'endpoints: []', 'namespace: prod')))[0]).toBe('a');
  });

  test('of two Services with one name in other namespaces neither has the bare name', () => {
    const names = listenersOf(
      compileYaml(
        serviceYaml('a', 'endpoints: []', 'namespace: x') + serviceYaml('a', 'endpoints: []', 'namespace: y'),
      ),
    );
    expect(names.filter((name) => name.startsWith('a:') || name === 'a')).toEqual([]);
  });

  test('a port that is not TCP is passed over', () => {
    const result = compileYaml(
      serviceYaml('a', 'ports: [{ name: x, port: 53, protocol: UDP }, { name: y, port: 80 }], endpoints: [10.0.0.1]'),
    );
    expect(listenersOf(result).every((name) => !name.endsWith(':53'))).toBe(true);
  });
});

describe('endpoints', () => {
  test('come over EDS, each with its weight, its labels and its zone', () => {
    const result = compileYaml(
      serviceYaml(
        'a',
        'endpoints: ["10.0.0.1:1", { address: "[::1]:2", weight: 3, version: v2, labels: { tier: gold } }, { address: "10.0.0.3:3", zone: z }]',
      ),
    );
    expect(clusterOf(result, 'a.default:80')).toMatchObject({ type: 'EDS', eds_cluster_config: { eds_config: ADS } });
    expect(endpointsOf(result, 'a.default:80')).toEqual({
      cluster_name: 'a.default:80',
      endpoints: [
        {
          locality: {},
          load_balancing_weight: { value: 4 },
          lb_endpoints: [
            {
              endpoint: { address: { socket_address: { address: '10.0.0.1', port_value: 1 } } },
              load_balancing_weight: { value: 1 },
            },
            {
              endpoint: { address: { socket_address: { address: '::1', port_value: 2 } } },
              load_balancing_weight: { value: 3 },
              metadata: {
                filter_metadata: {
                  'envoy.lb': { fields: { tier: { string_value: 'gold' }, version: { string_value: 'v2' } } },
                },
              },
            },
          ],
        },
        {
          locality: { zone: 'z' },
          load_balancing_weight: { value: 1 },
          lb_endpoints: [
            {
              endpoint: { address: { socket_address: { address: '10.0.0.3', port_value: 3 } } },
              load_balancing_weight: { value: 1 },
            },
          ],
        },
      ],
    });
  });

  test('have the version of their Service when they have none of their own', () => {
    const result = compileYaml(
      serviceYaml('a', 'endpoints: ["10.0.0.1:1", { address: "10.0.0.2:1", version: v9 }]', 'labels: { version: v1 }'),
    );
    expect(JSON.stringify(endpointsOf(result, 'a.default:80')).match(/"string_value":"v\d"/g)).toEqual([
      '"string_value":"v1"',
      '"string_value":"v9"',
    ]);
  });

  test('a Service without any has an empty assignment, so that calls fail at once instead of waiting', () => {
    expect(endpointsOf(compileYaml(serviceYaml('a', 'endpoints: []')), 'a.default:80')).toEqual({
      cluster_name: 'a.default:80',
    });
  });

  test('take their port from the map of named ports, else their address, else targetPort, else the port itself', () => {
    const result = compileYaml(
      serviceYaml(
        'a',
        'ports: [{ name: web, port: 80, targetPort: 8080 }, { name: rpc, port: 90 }], endpoints: [10.0.0.1, "10.0.0.2:7", { address: "10.0.0.3:7", ports: { rpc: 9 } }]',
      ),
    );
    const ports = (name: string): number[] =>
      endpointsOf(result, name).endpoints[0].lb_endpoints.map(
        (lb: { endpoint: { address: { socket_address: { port_value: number } } } }) =>
          lb.endpoint.address.socket_address.port_value,
      );
    expect(ports('a.default:80')).toEqual([8080, 7, 7]);
    expect(ports('a.default:90')).toEqual([90, 7, 9]);
  });

  const slice = (name: string, endpoints: string, ports = '[{ name: web, port: 8080 }]'): string => `
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: { name: ${name}, labels: { kubernetes.io/service-name: a } }
addressType: IPv4
endpoints: ${endpoints}
ports: ${ports}
`;
  const sliced = (...slices: string[]) =>
    endpointsOf(
      compileYaml(serviceYaml('a', 'ports: [{ name: web, port: 80, targetPort: http }]') + slices.join('')),
      'a.default:80',
    ).endpoints;
  const address = (host: string, more = {}) => ({
    endpoint: { address: { socket_address: { address: host, port_value: 8080 } } },
    load_balancing_weight: { value: 1 },
    ...more,
  });

  test('of slices: those that serve, at the slice port with the name of the Service port', () => {
    const endpoints = `[
      { addresses: [10.0.0.1] },
      { addresses: [10.0.0.2], conditions: { ready: true, serving: true, terminating: false }, nodeName: n, targetRef: { kind: Pod } },
      { addresses: [10.0.0.3], conditions: { ready: false } },
      { addresses: [10.0.0.4], conditions: { ready: false, serving: false, terminating: true } },
      { addresses: [10.0.0.5], conditions: { ready: null } }]`;
    expect(
      sliced(slice('a-1', endpoints, '[{ name: other, port: 1 }, { name: web, port: 8080 }]'))[0].lb_endpoints,
    ).toEqual([address('10.0.0.1'), address('10.0.0.2'), address('10.0.0.5')]);
  });

  test('of slices: one that terminates but serves still is draining', () => {
    const endpoints = '[{ addresses: [10.0.0.1], conditions: { ready: false, serving: true, terminating: true } }]';
    expect(sliced(slice('a-1', endpoints))[0].lb_endpoints).toEqual([
      address('10.0.0.1', { health_status: 'DRAINING' }),
    ]);
  });

  test('of slices: an address in two of them counts once, and the live one wins', () => {
    const dying = '[{ addresses: [10.0.0.1], conditions: { serving: true, terminating: true } }]';
    expect(
      sliced(slice('a-1', dying), slice('a-2', '[{ addresses: [10.0.0.1] }, { addresses: [10.0.0.2] }]'))[0]
        .lb_endpoints,
    ).toEqual([address('10.0.0.1'), address('10.0.0.2')]);
  });

  test('of slices: a Service without ports takes the first port', () => {
    const text =
      serviceYaml('a', '') +
      slice('a-1', '[{ addresses: [10.0.0.1] }]', '[{ name: x, port: 53, protocol: UDP }, { name: y, port: 8080 }]');
    expect(endpointsOf(compileYaml(text), 'a.default:80').endpoints[0].lb_endpoints).toEqual([address('10.0.0.1')]);
  });

  test('of slices: an object in one of each address family is one endpoint with both addresses', () => {
    const six = (endpoints: string): string => slice('a-2', endpoints).replace('IPv4', 'IPv6');
    const pod = (name: string, more = ''): string => `targetRef: { kind: Pod, ${name}${more} }`;
    const found = sliced(
      slice(
        'a-1',
        `[{ addresses: [10.0.0.1], ${pod('name: p')} }, { addresses: [10.0.0.2], ${pod('uid: u', ', name: x')} }, { addresses: [10.0.0.3] }]`,
      ),
      six(`[{ addresses: ["2001:db8::2"], ${pod('uid: u', ', name: y')} }, { addresses: ["2001:db8::1"], ${pod('name: p, namespace: default')} },
        { addresses: ["2001:db8::3"], ${pod('name: other')} }]`),
    )[0].lb_endpoints;
    const addresses = found.map(({ endpoint }: never) => {
      const { address, additional_addresses: others = [] } = endpoint as {
        address: Resource;
        additional_addresses?: { address: Resource }[];
      };
      return [address, ...others.map((other) => other.address)].map(
        ({ socket_address }) => (socket_address as { address: string }).address,
      );
    });
    expect(addresses).toEqual([
      ['10.0.0.1', '2001:db8::1'],
      ['10.0.0.2', '2001:db8::2'],
      ['10.0.0.3'],
      ['2001:db8::3'],
    ]);
  });

  test('of slices: one family twice is two endpoints, whatever is behind them', () => {
    const pod = 'targetRef: { kind: Pod, name: p }';
    const found = sliced(
      slice('a-1', `[{ addresses: [10.0.0.1], ${pod} }]`),
      slice('a-2', `[{ addresses: [10.0.0.2], ${pod} }]`),
    );
    expect(found[0].lb_endpoints).toEqual([address('10.0.0.1'), address('10.0.0.2')]);
  });

  test('of slices: have our weight and key', () => {
    const [group] = sliced(slice('a-1', '[{ addresses: [10.0.0.1], weight: 3, hashKey: one }]'));
    expect(group).toMatchObject({ load_balancing_weight: { value: 3 } });
    expect(group.lb_endpoints).toEqual([
      address('10.0.0.1', {
        load_balancing_weight: { value: 3 },
        metadata: { filter_metadata: { 'envoy.lb': { fields: { hash_key: { string_value: 'one' } } } } },
      }),
    ]);
  });

  test('of slices: zones are localities', () => {
    const zones = sliced(
      slice(
        'a-1',
        '[{ addresses: [10.0.0.1], zone: z1 }, { addresses: [10.0.0.2], zone: z2 }, { addresses: [10.0.0.3], zone: z1 }]',
      ),
    );
    expect(zones.map(({ locality, load_balancing_weight }: never) => [locality, load_balancing_weight])).toEqual([
      [{ zone: 'z1' }, { value: 2 }],
      [{ zone: 'z2' }, { value: 1 }],
    ]);
  });
});

describe('DNS names', () => {
  test('one is a LOGICAL_DNS cluster, which gRPC clients know too, and its servers see their own name as Host', () => {
    const result = compileYaml(serviceYaml('a', 'dns: "api.example.com:8443"'));
    expect(clusterOf(result, 'a.default:80')).toMatchObject({
      type: 'LOGICAL_DNS',
      load_assignment: {
        cluster_name: 'a.default:80',
        endpoints: [
          {
            lb_endpoints: [
              {
                endpoint: {
                  address: { socket_address: { address: 'api.example.com', port_value: 8443 } },
                  hostname: 'api.example.com',
                },
              },
            ],
          },
        ],
      },
    });
    expect(endpointsOf(result, 'a.default:80')).toBeUndefined();
    expect(routesOf(result, 'a.default:80')[0].route).toEqual({
      cluster: 'a.default:80',
      auto_host_rewrite: { value: true },
    });
  });

  test('an ExternalName is called at the port that callers name', () => {
    const result = compileYaml(
      serviceYaml('a', 'type: ExternalName, externalName: api.example.com, ports: [{ port: 443, appProtocol: https }]'),
    );
    const cluster = clusterOf(result, 'a.default:443');
    expect(JSON.stringify(cluster.load_assignment)).toContain('"address":"api.example.com","port_value":443');
    expect(cluster.transport_socket).toEqual({
      name: 'envoy.transport_sockets.tls',
      typed_config: {
        '@type': 'type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext',
        sni: 'api.example.com',
        common_tls_context: {
          validation_context: {
            system_root_certs: {},
            match_typed_subject_alt_names: [{ san_type: 'DNS', matcher: { exact: 'api.example.com' } }],
          },
        },
      },
    });
  });

  test('several host names are a STRICT_DNS cluster', () => {
    const result = compileYaml(serviceYaml('a', 'endpoints: ["host-1:80", "10.0.0.1:80"]'));
    expect(clusterOf(result, 'a.default:80').type).toBe('STRICT_DNS');
    expect(routesOf(result, 'a.default:80')[0].route).toEqual({ cluster: 'a.default:80' });
  });
});

describe('policies', () => {
  const OWN = [
    'inmesh.dev/peak_ewma',
    'envoy.load_balancing_policies.least_request',
    'envoy.load_balancing_policies.round_robin',
  ];

  test('the default balancer is peak EWMA, with what others know behind it', () => {
    expect(policiesOf(serviceYaml('a'))).toEqual(OWN);
  });

  test.each([
    ['PEAK_EWMA', OWN],
    ['LEAST_REQUEST', OWN.slice(1)],
    ['ROUND_ROBIN', OWN.slice(2)],
    ['RANDOM', ['envoy.load_balancing_policies.random', 'envoy.load_balancing_policies.round_robin']],
  ])('%s', (simple, names) => {
    expect(policiesOf(serviceYaml('a') + policyYaml('p', 'a', `loadBalancer: { simple: ${simple} }`))).toEqual(names);
  });

  test('what is configured is set, and nothing else', () => {
    const plain = clusterOf(compileYaml(serviceYaml('a')), 'a.default:80');
    expect(Object.keys(plain)).toEqual(['name', 'type', 'eds_cluster_config', 'load_balancing_policy']);
    const result = compileYaml(
      serviceYaml('a') +
        policyYaml(
          'p',
          'a',
          `loadBalancer: { simple: PEAK_EWMA, decay: 5s, defaultRtt: 50ms }, connectTimeout: 250ms, idleTimeout: 1m,
           connectionPool: { maxConnections: 1, maxPendingRequests: 2, maxRequests: 3, maxRetries: 4 },
           retryConstraint: { budget: { percent: 50 }, minRetryRate: { count: 5, interval: 2s } }`,
        ),
    );
    const cluster = clusterOf(result, 'a.default:80');
    expect(cluster.load_balancing_policy.policies[0].typed_extension_config.typed_config).toEqual({
      '@type': 'type.googleapis.com/xds.type.v3.TypedStruct',
      type_url: 'type.googleapis.com/inmesh.dev/peak_ewma',
      value: { fields: { decay_ms: { number_value: 5_000 }, default_rtt_ms: { number_value: 50 } } },
    });
    expect(cluster).toMatchObject({
      connect_timeout: { nanos: 250_000_000 },
      circuit_breakers: {
        thresholds: [
          {
            priority: 'DEFAULT',
            max_connections: { value: 1 },
            max_pending_requests: { value: 2 },
            max_requests: { value: 3 },
            max_retries: { value: 4 },
          },
        ],
      },
      metadata: {
        filter_metadata: {
          'inmesh.dev': {
            fields: {
              retry_budget: {
                struct_value: {
                  fields: {
                    retry_ratio: { number_value: 0.5 },
                    min_retries_per_second: { number_value: 2.5 },
                    ttl_ms: { number_value: 10_000 },
                  },
                },
              },
            },
          },
        },
      },
      typed_extension_protocol_options: {
        'envoy.extensions.upstreams.http.v3.HttpProtocolOptions': {
          common_http_protocol_options: { idle_timeout: { seconds: 60 } },
          explicit_http_config: { http_protocol_options: {} },
        },
      },
    });
  });

  test('with limits but none for retries, Envoy gets a budget in the place of its limit of 3', () => {
    const result = compileYaml(serviceYaml('a') + policyYaml('p', 'a', 'connectionPool: { maxRequests: 9 }'));
    expect(clusterOf(result, 'a.default:80').circuit_breakers.thresholds[0]).toEqual({
      priority: 'DEFAULT',
      max_requests: { value: 9 },
      retry_budget: { budget_percent: { value: 20 } },
    });
  });

  test.each(['grpc', 'kubernetes.io/h2c'])('appProtocol %s is HTTP/2', (appProtocol) => {
    const result = compileYaml(
      serviceYaml('a', `ports: [{ port: 80, appProtocol: ${appProtocol} }], endpoints: [10.0.0.1]`),
    );
    expect(clusterOf(result, 'a.default:80').typed_extension_protocol_options).toEqual({
      'envoy.extensions.upstreams.http.v3.HttpProtocolOptions': {
        '@type': 'type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions',
        explicit_http_config: { http2_protocol_options: {} },
      },
    });
  });

  test('MeshConfig says what happens with hosts that no Service names', () => {
    const config = (spec: string) =>
      `---\napiVersion: inmesh.dev/v1alpha1\nkind: MeshConfig\nmetadata: { name: m }\n${spec}`;
    expect(compileYaml(serviceYaml('a')).config.unknownHosts).toBeUndefined();
    expect(compileYaml(config('')).config.unknownHosts).toBe('passthrough');
    expect(compileYaml(config('spec: { unknownHosts: deny }')).config.unknownHosts).toBe('deny');
  });
});
