import { describe, expect, test } from 'vitest';
import { CLUSTER, ENDPOINT, LISTENER, ROUTE, TYPE_PREFIX, type Resource } from '../../../src/core/resources.js';
import { adsService, CodecError, loadCodec } from '../../../src/xds/wire/index.js';

const codec = await loadCodec();
const roundTrip = (typeUrl: string, resource: Resource): Resource =>
  codec.decodeResource(typeUrl, codec.encodeResource(typeUrl, resource));

describe('the plain shape', () => {
  test('unfolds an Any of a known type, and one inside it', () => {
    const typed_config = {
      '@type': `${TYPE_PREFIX}envoy.extensions.load_balancing_policies.wrr_locality.v3.WrrLocality`,
      endpoint_picking_policy: {
        policies: [
          {
            typed_extension_config: {
              name: 'inmesh',
              typed_config: {
                '@type': `${TYPE_PREFIX}xds.type.v3.TypedStruct`,
                type_url: 'type.googleapis.com/inmesh.dev/peak_ewma',
                value: { fields: { decay_ms: { number_value: 5_000 } } },
              },
            },
          },
        ],
      },
    };
    const cluster = {
      load_balancing_policy: { policies: [{ typed_extension_config: { name: 'wrr', typed_config } }] },
    };
    expect(roundTrip(CLUSTER, cluster)).toEqual(cluster);
  });

  test('keeps the bytes of an Any of an unknown type', () => {
    const typed_config = { '@type': 'type.googleapis.com/somebody.Else', value: Uint8Array.of(1, 2, 3) };
    const cluster = { transport_socket: { name: 'x', typed_config } };
    expect(roundTrip(CLUSTER, cluster)).toEqual(cluster);
  });

  test('keeps the bytes of an Any inside an Any, which would need two @type in one object', () => {
    const typed_config = { '@type': `${TYPE_PREFIX}google.protobuf.Any`, value: Uint8Array.of(10, 1, 97) };
    const cluster = { transport_socket: { name: 'x', typed_config } };
    expect(roundTrip(CLUSTER, cluster)).toEqual(cluster);
  });

  test('names enums, and keeps the number of a value it does not know', () => {
    expect(roundTrip(CLUSTER, { lb_policy: 'LEAST_REQUEST' })).toEqual({ lb_policy: 'LEAST_REQUEST' });
    expect(roundTrip(CLUSTER, { lb_policy: 99 })).toEqual({ lb_policy: 99 });
  });

  test('leaves out what is not set, and keeps what is set to its default', () => {
    expect(roundTrip(CLUSTER, {})).toEqual({});
    const wrapped = { cluster_name: '', endpoints: [{ load_balancing_weight: { value: 0 } }] };
    expect(roundTrip(ENDPOINT, wrapped)).toEqual(wrapped);
  });

  test('holds negative and large integers', () => {
    const match = { header_match: { name: 'x', range_match: { start: -5, end: 2 ** 53 - 1 } } };
    const route = { virtual_hosts: [{ routes: [{ match: { headers: [match.header_match] } }] }] };
    expect(roundTrip(ROUTE, route)).toEqual(route);
  });

  test('a map key called __proto__ is a key like any other', () => {
    const filter_metadata = Object.create(null) as Record<string, unknown>;
    Object.defineProperty(filter_metadata, '__proto__', {
      value: { fields: {} },
      enumerable: true,
      configurable: true,
    });
    const decoded = roundTrip(CLUSTER, { metadata: { filter_metadata } });
    const map = (decoded.metadata as Record<string, Record<string, unknown>>).filter_metadata;
    expect(Object.keys(map ?? {})).toEqual(['__proto__']);
    expect(({} as Record<string, unknown>).fields).toBeUndefined();
  });

  test('of two members of a oneof on the wire the last one stands', () => {
    const first = codec.encodeResource(CLUSTER, { type: 'EDS' });
    const second = codec.encodeResource(CLUSTER, { cluster_type: { name: 'aggregate' } });
    const decoded = codec.decodeResource(CLUSTER, Buffer.concat([first, second]));
    expect(decoded).toEqual({ cluster_type: { name: 'aggregate' } });
  });

  test('a message that comes twice is merged', () => {
    const first = codec.encodeResource(CLUSTER, { connect_timeout: { seconds: 1 } });
    const second = codec.encodeResource(CLUSTER, { connect_timeout: { nanos: 2 } });
    const decoded = codec.decodeResource(CLUSTER, Buffer.concat([first, second]));
    expect(decoded).toEqual({ connect_timeout: { seconds: 1, nanos: 2 } });
  });

  test('numbers in a list are read packed and one by one', () => {
    const policy = `${TYPE_PREFIX}envoy.config.route.v3.RetryPolicy`;
    const packed = codec.encodeResource(policy, { retriable_status_codes: [500, 503] });
    expect(Buffer.from(packed).toString('hex')).toBe('3a04f403f703');
    expect(codec.decodeResource(policy, Buffer.from('38f40338f703', 'hex'))).toEqual({
      retriable_status_codes: [500, 503],
    });
  });

  test('fields and groups of a newer schema are passed over', () => {
    const known = codec.encodeResource(CLUSTER, { name: 'a' });
    const unknown = Buffer.from(
      'f33f 0801 f43f fa3f 0161 fd3f 00000000 f93f 0000000000000000'.replaceAll(' ', ''),
      'hex',
    );
    expect(codec.decodeResource(CLUSTER, Buffer.concat([unknown, known]))).toEqual({ name: 'a' });
  });

  test('what is decoded does not hold on to the input', () => {
    const input = Buffer.from(
      codec.encodeResource(CLUSTER, {
        transport_socket: { typed_config: { '@type': 'x/y', value: Uint8Array.of(7) } },
      }),
    );
    const decoded = codec.decodeResource(CLUSTER, input);
    input.fill(0);
    expect(decoded).toEqual({ transport_socket: { typed_config: { '@type': 'x/y', value: Uint8Array.of(7) } } });
  });
});

describe('an object that the schema has no room for', () => {
  const cases: [string, Resource, string][] = [
    ['an unknown field', { naem: 'x' }, 'envoy.config.cluster.v3.Cluster has no field "naem"; did you mean "name"?'],
    ['a field of the wrong kind', { name: 5 }, 'name: must be a string, got 5'],
    [
      'an unknown enum value',
      { lb_policy: 'ROUND_ROBN' },
      'lb_policy: must be a value of envoy.config.cluster.v3.Cluster.LbPolicy, got "ROUND_ROBN"; did you mean ROUND_ROBIN?',
    ],
    [
      'a message that is none',
      { connect_timeout: '5s' },
      'connect_timeout: must be an object (google.protobuf.Duration), got "5s"',
    ],
    ['a list that is none', { health_checks: {} }, 'health_checks: must be a list, got {}'],
    [
      'a number out of range',
      { connect_timeout: { nanos: 2 ** 40 } },
      'connect_timeout.nanos: must be a whole number from -2147483648 to 2147483647, got 1099511627776',
    ],
    [
      'half a number',
      { connect_timeout: { seconds: 0.5 } },
      'connect_timeout.seconds: must be a whole number from -9223372036854776000 to 9223372036854776000, got 0.5',
    ],
    ['two of a oneof', { type: 'EDS', cluster_type: {} }, 'cluster_type: only one of cluster_type and type can be set'],
    [
      'fields of an unknown type',
      { transport_socket: { typed_config: { '@type': 'x/y', sni: 'a' } } },
      'transport_socket.typed_config: sni: the schema does not know x/y, so only "value", its bytes, can be given',
    ],
    [
      'bytes that are none',
      { transport_socket: { typed_config: { '@type': 'x/y', value: 'a' } } },
      'transport_socket.typed_config.value: must be bytes (a Uint8Array), got "a"',
    ],
    [
      'a null',
      { transport_socket: null as never },
      'transport_socket: must be an object (envoy.config.core.v3.TransportSocket), got null',
    ],
  ];
  test.each(cases)('%s is refused with its path', (_name, resource, message) => {
    expect(() => codec.encodeResource(CLUSTER, resource)).toThrow(
      expect.objectContaining({ name: 'CodecError', message }),
    );
  });

  test('an object that contains itself is refused', () => {
    const value: Record<string, unknown> = {};
    value.list_value = { values: [value] };
    expect(() => codec.encodeMessage('google.protobuf.Value', value)).toThrow(/nested more than 100 deep/);
  });

  test('a type that the schema lacks is refused by name, whatever it is called', () => {
    for (const name of [
      'type.googleapis.com/a.B',
      '',
      '/',
      '__proto__',
      'envoy.constructor',
      'envoy.config.cluster.v3.Cluster.LbPolicy',
    ]) {
      expect(codec.knows(name)).toBe(false);
      expect(() => codec.decodeResource(name, new Uint8Array(0))).toThrow(/is not in the schema/);
    }
  });
});

describe('the ADS messages', () => {
  const { StreamAggregatedResources: method } = adsService(codec);

  test('carry resources packed, so that each can be read by itself', () => {
    const value = codec.encodeResource(CLUSTER, { name: 'a' });
    const response = {
      version_info: '1',
      type_url: CLUSTER,
      nonce: 'n',
      resources: [{ type_url: CLUSTER, value }],
      resource_errors: [{ resource_name: { name: 'b' }, error_detail: { code: 5, message: 'none' } }],
    };
    const read = method.responseDeserialize(method.responseSerialize(response));
    expect({ ...read, resources: read.resources?.map((r) => ({ ...r, value: new Uint8Array(r.value) })) }).toEqual(
      response,
    );
  });

  test('carry the node and the reason of a NACK', () => {
    const request = {
      node: { id: 'n', metadata: { fields: { GENERATOR: { string_value: 'grpc' } } }, client_features: ['a'] },
      resource_names: ['x', 'y'],
      type_url: CLUSTER,
      error_detail: { code: 3, message: 'bad' },
    };
    expect(method.requestDeserialize(method.requestSerialize(request))).toEqual(request);
  });
});

describe('in steps', () => {
  const steps = (typeUrl: string, bytes: Uint8Array): { pauses: number; resource: Resource } => {
    const work = codec.decodeResourceSteps(typeUrl, bytes);
    for (let pauses = 0; ; pauses++) {
      const step = work.next();
      if (step.done === true) return { pauses, resource: step.value };
    }
  };
  const codes = (count: number): Resource => ({
    virtual_hosts: [{ retry_policy: { retriable_status_codes: Array.from({ length: count }, (_, i) => i % 600) } }],
  });
  const inAny = (count: number): Resource => ({
    api_listener: {
      api_listener: {
        '@type': `${TYPE_PREFIX}envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager`,
        route_config: { virtual_hosts: Array.from({ length: count }, (_, i) => ({ name: `v${i}` })) },
      },
    },
  });
  const labels = (count: number): Resource => ({
    metadata: {
      filter_metadata: {
        a: { fields: Object.fromEntries(Array.from({ length: count }, (_, i) => [`k${i}`, { number_value: i }])) },
      },
    },
  });

  test.each([
    ['a list of numbers', ROUTE, codes(20_000)],
    ['what is in an Any', LISTENER, inAny(20_000)],
    ['a map', CLUSTER, labels(20_000)],
  ])('%s is paused in, and comes to the same', (_, typeUrl, resource) => {
    const bytes = codec.encodeResource(typeUrl, resource);
    const read = steps(typeUrl, bytes);
    expect(read.pauses).toBeGreaterThanOrEqual(9);
    expect(read.resource).toEqual(codec.decodeResource(typeUrl, bytes));
  });

  test('a fault after a pause is named by its path', () => {
    const bytes = codec.encodeResource(ROUTE, {
      virtual_hosts: Array.from({ length: 5_000 }, (_, i) => ({ name: `v${i}`, domains: ['*'] })),
    });
    bytes[bytes.lastIndexOf('*'.charCodeAt(0))] = 0xff;
    expect(() => steps(ROUTE, bytes)).toThrow(CodecError);
    expect(() => steps(ROUTE, bytes)).toThrow(/^virtual_hosts\[4999\]\.domains\[0\]: malformed .* not UTF-8/);
  });
});
