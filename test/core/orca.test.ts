import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { headerFields } from '../../src/core/headers.js';
import { backendMetrics } from '../../src/core/orca.js';
import { MAX_METRICS } from '../../src/core/orca-report.js';
import { NO_METRICS } from '../support/backend-metrics.js';

const none = headerFields();
const from = (value: string | string[], name = 'endpoint-load-metrics') =>
  backendMetrics(headerFields({ [name]: value }), none);
const plain = (value: unknown): unknown => JSON.parse(JSON.stringify(value));

/** Protobuf by hand: an independent writer. */
const varint = (value: number): number[] =>
  value < 0x80 ? [value] : [(value % 0x80) + 0x80, ...varint(Math.floor(value / 0x80))];
const double = (field: number, value: number): number[] => {
  const bytes = Buffer.alloc(8);
  bytes.writeDoubleLE(value);
  return [...varint(field * 8 + 1), ...bytes];
};
const bytesField = (field: number, bytes: readonly number[]): number[] => [
  ...varint(field * 8 + 2),
  ...varint(bytes.length),
  ...bytes,
];
const text = (field: number, value: string): number[] => bytesField(field, [...Buffer.from(value)]);
const entry = (field: number, key: string, value: number): number[] =>
  bytesField(field, [...text(1, key), ...double(2, value)]);
const binary = (bytes: readonly number[]): string => Buffer.from(bytes).toString('base64');
const bin = (...parts: number[][]) => from(binary(parts.flat()), 'endpoint-load-metrics-bin');

describe('A51: endpoint-load-metrics-bin', () => {
  test('holds an OrcaLoadReport', () => {
    const report = bin(
      double(1, 1.5),
      double(2, 0.25),
      double(6, 100),
      double(7, 2),
      double(9, 0.75),
      entry(4, 'db', 3),
      entry(5, 'disk', 0.5),
      entry(8, 'queue', -7),
    );
    expect(plain(report)).toEqual({
      cpuUtilization: 1.5,
      memUtilization: 0.25,
      applicationUtilization: 0.75,
      rps: 100,
      eps: 2,
      requestCost: { db: 3 },
      utilization: { disk: 0.5 },
      namedMetrics: { queue: -7 },
    });
  });

  test('without padding, and in the URL’s alphabet, is the same', () => {
    const value = binary([...double(1, 0.5), ...entry(8, '>>>???', 1)]);
    const other = value.replace(/=+$/, '').replaceAll('+', '-').replaceAll('/', '_');
    expect(plain(from(other, 'endpoint-load-metrics-bin'))).toEqual(plain(from(value, 'endpoint-load-metrics-bin')));
  });

  test('takes the old whole rps where there is no rps_fractional', () => {
    expect(bin([...varint(3 * 8), ...varint(70)])?.rps).toBe(70);
    expect(bin([...varint(3 * 8), ...varint(70)], double(6, 71.5))?.rps).toBe(71.5);
  });

  test('passes over fields that it does not know, of every wire type but groups', () => {
    const unknown = [
      [...varint(90 * 8), ...varint(2 ** 40)],
      double(91, 1),
      text(92, 'x'),
      [...varint(93 * 8 + 5), 1, 2, 3, 4],
    ];
    expect(bin(...unknown, double(1, 0.5))?.cpuUtilization).toBe(0.5);
    expect(bin([...varint(94 * 8 + 3)])).toBeUndefined();
  });

  test('leaves aside values out of their range', () => {
    const report = bin(
      double(1, -1),
      double(2, 1.01),
      double(6, Number.NaN),
      double(7, Number.POSITIVE_INFINITY),
      entry(5, 'u', 2),
      entry(8, 'n', Number.NaN),
      entry(8, 'ok', 1),
    );
    expect(plain(report)).toEqual({ ...NO_METRICS, namedMetrics: { ok: 1 } });
  });

  test('that is malformed is none: cut off, of a wrong type, no UTF-8, no base64, field 0', () => {
    expect(bin(double(1, 1).slice(0, 5))).toBeUndefined();
    expect(bin(text(1, 'x'))).toBeUndefined();
    expect(bin(bytesField(8, bytesField(1, [0xff, 0xfe])))).toBeUndefined();
    expect(from('!!!', 'endpoint-load-metrics-bin')).toBeUndefined();
    expect(bin([0, 1])).toBeUndefined();
    expect(bin([8 * 8 + 2, 200])).toBeUndefined();
    expect(bin(Array.from({ length: 12 }, () => 0xff))).toBeUndefined();
  });

  test('with more metrics than anybody needs is none', () => {
    const many = (count: number): number[] => Array.from({ length: count }, (_, i) => entry(8, `${i}`, 1)).flat();
    expect(Object.keys(bin(many(MAX_METRICS))?.namedMetrics ?? {})).toHaveLength(MAX_METRICS);
    expect(bin(many(MAX_METRICS + 1))).toBeUndefined();
    expect(from('A'.repeat(40_000), 'endpoint-load-metrics-bin')).toBeUndefined();
  });
});

describe('endpoint-load-metrics as Envoy has it', () => {
  test('TEXT: names and values', () => {
    const report = from(
      'TEXT cpu_utilization:0.3, mem_utilization:0.8,rps_fractional:10.0,eps:1,named_metrics.queue: 4e2',
    );
    expect(plain(report)).toEqual({
      ...NO_METRICS,
      cpuUtilization: 0.3,
      memUtilization: 0.8,
      rps: 10,
      eps: 1,
      namedMetrics: { queue: 400 },
    });
    expect(from(['TEXT cpu_utilization:0.3', 'eps:1'])).toMatchObject({ cpuUtilization: 0.3, eps: 1 });
  });

  test('TEXT that is malformed is none: twice the same, unknown, no number, nothing', () => {
    for (const bad of [
      'cpu_utilization:1,cpu_utilization:1',
      'unknown:1',
      'cpu_utilization:x',
      'cpu_utilization:NaN',
      'cpuUtilization:1',
      'cpu_utilization',
      'named_metrics.:1',
      '__proto__:1',
      '',
    ])
      expect(from(`TEXT ${bad}`), bad).toBeUndefined();
  });

  test('JSON: in both spellings, numbers as text too', () => {
    expect(
      plain(
        from('JSON {"cpu_utilization":0.3,"memUtilization":"0.5","rpsFractional":7,"namedMetrics":{"q":1},"new":[]}'),
      ),
    ).toEqual({ ...NO_METRICS, cpuUtilization: 0.3, memUtilization: 0.5, rps: 7, namedMetrics: { q: 1 } });
    for (const bad of [
      '[]',
      'null',
      '{',
      '{"eps":[]}',
      '{"eps":"x"}',
      '{"named_metrics":1}',
      '{"named_metrics":{"a":{}}}',
    ])
      expect(from(`JSON ${bad}`), bad).toBeUndefined();
  });

  test('BIN: the message in base64', () => {
    expect(from(`BIN ${binary(double(1, 0.5))}`)?.cpuUtilization).toBe(0.5);
  });

  test('of another form, or of none, is none', () => {
    for (const other of ['XML <a/>', 'cpu_utilization:1', 'TEXT', '']) expect(from(other), other).toBeUndefined();
  });

  test('a metric may be called __proto__', () => {
    const report = from('JSON {"named_metrics":{"__proto__":1}}');
    expect(Object.keys(report?.namedMetrics ?? {})).toEqual(['__proto__']);
    expect(({} as Record<string, unknown>)['1']).toBeUndefined();
  });
});

test('trailers are looked at before headers', () => {
  const report = (cpu: string) => headerFields({ 'endpoint-load-metrics': `TEXT cpu_utilization:${cpu}` });
  expect(backendMetrics(report('0.1'), report('0.2'))?.cpuUtilization).toBe(0.1);
  expect(backendMetrics(undefined, report('0.2'))?.cpuUtilization).toBe(0.2);
  expect(backendMetrics(none, none)).toBeUndefined();
});

test('whatever a backend sends, nothing is thrown, and what comes out are numbers', () => {
  const check = (name: string, value: string): void => {
    const report = from(value, name);
    if (report === undefined) return;
    const { utilization, requestCost, namedMetrics, ...own } = report;
    for (const number of Object.values({ ...own })) expect(Number.isFinite(number) && number >= 0).toBe(true);
    for (const map of [utilization, requestCost, namedMetrics])
      expect(Object.values(map).every(Number.isFinite)).toBe(true);
  };
  const valid = [...double(1, 0.5), ...entry(8, 'queue', 7), ...entry(5, 'd', 0.5), ...varint(24), ...varint(9)];
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 64 }), (bytes) => check('endpoint-load-metrics-bin', binary([...bytes]))),
    { numRuns: 2_000 },
  );
  fc.assert(
    fc.property(fc.nat(valid.length - 1), fc.nat(255), fc.nat(valid.length), (at, byte, length) => {
      const mutated = [...valid];
      mutated[at] = byte;
      check('endpoint-load-metrics-bin', binary(mutated.slice(0, length)));
    }),
    { numRuns: 3_000 },
  );
  fc.assert(
    fc.property(fc.constantFrom('TEXT ', 'JSON ', 'BIN ', ''), fc.oneof(fc.string(), fc.json()), (tag, value) =>
      check('endpoint-load-metrics', tag + value),
    ),
    { numRuns: 2_000 },
  );
});
