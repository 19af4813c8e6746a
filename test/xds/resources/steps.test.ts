import { describe, expect, test } from 'vitest';
import { seededRandom } from '../../../src/core/random.js';
import { CLUSTER, ENDPOINT, LISTENER, type Resource, type ResourceType, ROUTE } from '../../../src/core/resources.js';
import { OWN } from '../../../src/xds/origin.js';
import type { Decoder } from '../../../src/xds/resources/decoders.js';
import { MAX_STEP_VALUES } from '../../../src/xds/resources/step-budget.js';
import { loadCodec } from '../../../src/xds/wire/codec.js';
import { messageName } from '../../../src/xds/wire/names.js';
import type { FieldSchema, MessageSchema } from '../../../src/xds/wire/schema.js';
import { decodersByType } from '../../support/decoders.js';
import { HUGE_RESOURCES } from '../../support/huge-resources.js';
import { countPauses } from '../../support/pauses.js';
import { randomMessage } from '../../support/random-message.js';
import { Visits } from '../../support/visits.js';
import { clusterResource, endpointResource, routeResource, toCluster } from '../../support/xds-resources.js';
import { messageType, schema } from '../wire/schema.js';
import { assignment, cluster } from './fuzz/generate-clusters.js';
import { clientListener, serverListener } from './fuzz/generate-listeners.js';
import { routeConfiguration } from './fuzz/generate-routes.js';
import { Make } from './fuzz/make.js';

const codec = await loadCodec();

describe('a huge resource', () => {
  test.each(HUGE_RESOURCES)('$what is read, decoded and kept with pauses all along', ({ type, parts, make }) => {
    const decode = decodersByType[type] as Decoder<unknown>;
    const bytes = codec.encodeResource(type, make());
    const plain = countPauses(codec.decodeResourceSteps(type, bytes));
    // Thousands of fields each.
    expect(plain.pauses).toBeGreaterThan(50);
    expect(plain.result).toEqual(codec.decodeResource(type, bytes));
    const first = countPauses(decode(plain.result, 'huge', OWN));
    expect(first.pauses).toBeGreaterThan(parts);
    const again = countPauses(decode(codec.decodeResource(type, bytes), 'huge', OWN, first.result));
    expect(again.pauses).toBeGreaterThan(2 * parts);
    expect(again.result).toBe(first.result);
  });
});

describe('a small resource', () => {
  const small: readonly [typeof ENDPOINT | typeof ROUTE, Resource][] = [
    [ENDPOINT, endpointResource('a', 80, 81)],
    [ROUTE, routeResource('a', [toCluster('c')])],
  ];
  test.each(small)('is read in one go: %s', (type, resource) => {
    expect(countPauses(codec.decodeResourceSteps(type, codec.encodeResource(type, resource))).pauses).toBe(0);
  });
});

/** More elements than may be read in one step. */
const MANY = MAX_STEP_VALUES + 1_000;

type Plain = Record<string, unknown>;
interface Place {
  readonly where: string;
  readonly message: Plain;
  readonly field: FieldSchema;
}

/** Every list and map that a message has room for, in all messages that are in it. */
function* lists(type: MessageSchema, message: Plain): Generator<Place, void, undefined> {
  const own = typeof message['@type'] === 'string' ? schema.message(messageName(message['@type'])) : type;
  if (own === undefined || own.isAny) return;
  for (const field of own.fields) {
    if (field.rivals.some((rival) => message[rival] !== undefined)) continue;
    const isMany = field.repeated || field.mapKey !== undefined;
    if (isMany) yield { where: `${own.fullName}.${field.name}`, message, field };
    const value = message[field.name];
    if (typeof field.type === 'string' || field.type.kind === 'enum' || value === undefined) continue;
    for (const part of isMany ? Object.values(value as object) : [value]) yield* lists(field.type, part as Plain);
  }
}

/** So many different elements: like the one that is there, or as the schema has them. */
function many({ message, field }: Place): unknown {
  const random = seededRandom(1);
  const given = Object.values((message[field.name] as object | undefined) ?? {}) as unknown[];
  const one = (i: number): unknown => {
    if (field.type === 'string') return `${String(given[0] ?? 'x')}${i}`;
    if (typeof field.type === 'string') return given[0] ?? (field.type === 'bytes' ? new Uint8Array(1) : i % 2);
    if (field.type.kind === 'enum') return given[0] ?? field.type.byNumber.get(0);
    const element = (given[0] ?? randomMessage(field.type, random, { depth: 1 })) as Plain;
    return typeof element['name'] === 'string' ? { ...element, name: `${element['name']}${i}` } : { ...element };
  };
  const elements = Array.from({ length: MANY }, (_, i) => one(i));
  return field.mapKey === undefined ? elements : Object.fromEntries(elements.map((element, i) => [`k${i}`, element]));
}

describe('no step grows with the resource', () => {
  const generators: [string, ResourceType, (make: Make) => Resource][] = [
    ['a client’s listener', LISTENER, (make) => clientListener(make, 'n')],
    ['a server’s listener', LISTENER, (make) => serverListener(make, 'n')],
    ['a route configuration', ROUTE, (make) => routeConfiguration(make, 'n')],
    ['a cluster', CLUSTER, (make) => cluster(make, 'n')],
    ['an assignment', ENDPOINT, (make) => assignment(make, 'n')],
  ];

  // Whether the resource is used or refused then is another matter: no list of any message can make a step long.
  test.each(generators)(
    'whatever list of %s is huge',
    (_, type, generate) => {
      const decode = decodersByType[type] as Decoder<unknown>;
      const tried = new Set<string>();
      for (let seed = 0; seed < 40; seed++) {
        const resource = generate(new Make(seededRandom(seed))) as Plain;
        for (const place of lists(messageType(messageName(type)), resource)) {
          const { where, message, field } = place;
          if (tried.has(where)) continue;
          tried.add(where);
          const before = message[field.name];
          message[field.name] = many(place);
          const visits = new Visits();
          const largest = visits.largestStep(decode(visits.watch(resource as Resource), 'n', OWN));
          expect(largest, where).toBeLessThanOrEqual(2 * MAX_STEP_VALUES);
          message[field.name] = before;
        }
      }
      expect(tried.size).toBeGreaterThan(type === ENDPOINT ? 8 : 25);
    },
    120_000,
  );

  test('a list that must be read in one go and is longer than anybody needs is refused by its path', () => {
    const decode = decodersByType[ROUTE] as Decoder<unknown>;
    const clusters = Array.from({ length: 100_000 }, (_, i) => ({ name: `c${i}`, weight: { value: 1 } }));
    const route = { match: { prefix: '/' }, route: { weighted_clusters: { clusters } } };
    expect(() => countPauses(decode(routeResource('n', [route]), 'n', OWN))).toThrow(
      /^virtual_hosts\[0\]\.routes\[0\]\.route\.weighted_clusters\.clusters\[\d+\]: is too large: more than 20000 values .*; split it$/,
    );
  });

  test('long lists that have a use are read to their end', () => {
    const decode = decodersByType[ROUTE];
    const domains = Array.from({ length: 30_000 }, (_, i) => `h${i}`);
    const clusters = Array.from({ length: 2_000 }, (_, i) => ({ name: `c${i}`, weight: { value: 1 } }));
    const routes = [{ match: { prefix: '/' }, route: { weighted_clusters: { clusters } } }];
    const { result } = countPauses(decode({ name: 'n', virtual_hosts: [{ name: 'v', domains, routes }] }, 'n', OWN));
    expect(result.virtualHosts[0]?.domains).toEqual(domains);
    expect(result.virtualHosts[0]?.routes.length).toBe(1);
  });

  test.each(['request_headers_to_add', 'request_headers_to_remove'])(
    'more than a thousand %s at one level are refused: each call goes through them, and each route has them',
    (field) => {
      const decode = decodersByType[ROUTE] as Decoder<unknown>;
      const one = (i: number) => (field.endsWith('add') ? { header: { key: `a${i}`, value: 'v' } } : `r${i}`);
      const resource = (count: number) => ({
        ...routeResource('n', [toCluster('c')]),
        [field]: Array.from({ length: count }, (_, i) => one(i)),
      });
      countPauses(decode(resource(1_000), 'n', OWN));
      const problem = `${field}: must have at most 1000 headers`;
      expect(() => countPauses(decode(resource(1_001), 'n', OWN))).toThrow(problem);
    },
  );
});

describe('the wire', () => {
  /** All messages that resources can hold. */
  function* messages(type: MessageSchema, seen = new Set<MessageSchema>()): Generator<MessageSchema, void, undefined> {
    if (seen.has(type)) return;
    seen.add(type);
    yield type;
    for (const { type: inner } of type.fields)
      if (typeof inner !== 'string' && inner.kind === 'message') yield* messages(inner, seen);
  }

  test.each([LISTENER, ROUTE, CLUSTER, ENDPOINT])('%s: every list is read in steps', (type) => {
    let tried = 0;
    for (const message of messages(messageType(messageName(type)))) {
      for (const field of message.fields) {
        if (!field.repeated) continue;
        tried++;
        const bytes = codec.encodeMessage(message.fullName, { [field.name]: many({ where: '', message: {}, field }) });
        const { pauses } = countPauses(codec.decodeMessageSteps(message.fullName, bytes, { rawAny: true }));
        expect(pauses, `${message.fullName}.${field.name}`).toBeGreaterThanOrEqual(Math.floor(MANY / 2_000));
      }
    }
    expect(tried).toBeGreaterThan(5);
  });

  test('a step is short when few fields are long', () => {
    const name = 'x'.repeat(1_000_000);
    const bytes = Buffer.concat(Array.from({ length: 10 }, () => codec.encodeResource(CLUSTER, clusterResource(name))));
    expect(countPauses(codec.decodeResourceSteps(CLUSTER, bytes)).pauses).toBeGreaterThanOrEqual(10);
    const tooLong = codec.encodeResource(CLUSTER, { name: 'x'.repeat(1_048_577) });
    expect(() => codec.decodeResource(CLUSTER, tooLong)).toThrow(/^name: .*a string of 1048577 bytes; at most 1048576/);
  });

  test('fields that nobody knows are passed over in steps; a group of many is refused', () => {
    const field = Buffer.from('f83f01', 'hex');
    expect(countPauses(codec.decodeResourceSteps(CLUSTER, Buffer.alloc(30_000, field))).pauses).toBeGreaterThanOrEqual(
      4,
    );
    expect(countPauses(codec.resourceName(CLUSTER, Buffer.alloc(30_000, field))).pauses).toBeGreaterThanOrEqual(4);
    const group = Buffer.concat([Buffer.from('f33f', 'hex'), Buffer.alloc(3_003, field), Buffer.from('f43f', 'hex')]);
    expect(() => codec.decodeResource(CLUSTER, group)).toThrow(/a group of more than 1000 fields/);
  });
});
