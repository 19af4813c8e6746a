import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { headerFields } from '../../src/core/headers.js';
import { backendMetrics, ORCA_HEADER, ORCA_TRAILER } from '../../src/core/orca.js';
import { type BackendMetrics, emptyMetrics } from '../../src/core/orca-report.js';
import { readOrcaReport } from '../../src/core/orca-wire.js';
import { encodeOrcaReport, type OrcaFormat, orcaHeader } from '../../src/core/orca-write.js';

const positive = fc.double({ min: 0, noNaN: true, noDefaultInfinity: true }).map((value) => value + 0);
const share = fc.double({ min: 0, max: 1, noNaN: true }).map((value) => value + 0);
const any = fc.double({ noNaN: true, noDefaultInfinity: true }).map((value) => (Object.is(value, -0) ? 0 : value));
const map = (value: fc.Arbitrary<number>, name: fc.Arbitrary<string> = fc.string({ unit: 'grapheme' })) =>
  fc.dictionary(name, value, { maxKeys: 8, noNullPrototype: false });
const report: fc.Arbitrary<BackendMetrics> = fc.record({
  cpuUtilization: positive,
  memUtilization: share,
  applicationUtilization: positive,
  rps: positive,
  eps: positive,
  utilization: map(share),
  requestCost: map(any),
  namedMetrics: map(any),
});

/** Maps without a prototype, as they are read. */
const asRead = (metrics: BackendMetrics): BackendMetrics => ({
  ...metrics,
  utilization: Object.assign(Object.create(null), metrics.utilization),
  requestCost: Object.assign(Object.create(null), metrics.requestCost),
  namedMetrics: Object.assign(Object.create(null), metrics.namedMetrics),
});

const throughHeader = (metrics: BackendMetrics, format: OrcaFormat): BackendMetrics | undefined =>
  backendMetrics(undefined, headerFields({ [ORCA_HEADER]: orcaHeader(metrics, format) }));

describe('a report that is written', () => {
  test('is read as it was: in a trailer, and in a header field as JSON or binary', () => {
    fc.assert(
      fc.property(report, (metrics) => {
        const bytes = encodeOrcaReport(metrics);
        expect(readOrcaReport(bytes)).toEqual(asRead(metrics));
        const trailers = headerFields({ [ORCA_TRAILER]: bytes.toString('base64') });
        expect(backendMetrics(trailers, headerFields())).toEqual(asRead(metrics));
        expect(throughHeader(metrics, 'json')).toEqual(asRead(metrics));
        expect(throughHeader(metrics, 'bin')).toEqual(asRead(metrics));
      }),
    );
  });

  test('is visible ASCII in a header field, whatever its names', () => {
    fc.assert(
      fc.property(report, fc.constantFrom<OrcaFormat[]>('text', 'json', 'bin'), (metrics, format) => {
        expect(orcaHeader(metrics, format)).toMatch(/^[\x20-\x7e]+$/);
      }),
    );
  });

  test('is in text all but what text has no words for', () => {
    fc.assert(
      fc.property(report, (metrics) => {
        const { namedMetrics } = metrics;
        const speakable = Object.keys(namedMetrics).filter((name) => /^[\x21-\x7e]+$/.test(name) && !/[,:]/.test(name));
        expect(throughHeader(metrics, 'text')).toEqual(
          asRead({
            ...metrics,
            utilization: {},
            requestCost: {},
            namedMetrics: Object.fromEntries(speakable.map((name) => [name, namedMetrics[name] as number])),
          }),
        );
      }),
    );
  });

  test("reads as Envoy's three forms", () => {
    const metrics = {
      ...emptyMetrics(),
      cpuUtilization: 0.3,
      rps: 10,
      utilization: { disk: 0.5 },
      namedMetrics: { queue: 7, größe: 1 },
    };
    expect(orcaHeader(metrics, 'text')).toBe('TEXT cpu_utilization:0.3,rps_fractional:10,named_metrics.queue:7');
    expect(orcaHeader(metrics, 'json')).toBe(
      'JSON {"cpu_utilization":0.3,"rps_fractional":10,"utilization":{"disk":0.5},"named_metrics":{"queue":7,"gr\\u00f6\\u00dfe":1}}',
    );
    expect(orcaHeader({ ...emptyMetrics(), cpuUtilization: 1 }, 'bin')).toBe('BIN CQAAAAAAAPA/');
  });

  test('of nothing is still a report', () => {
    for (const format of ['text', 'json', 'bin'] as const)
      expect(throughHeader(emptyMetrics(), format)).toEqual(emptyMetrics());
  });
});
