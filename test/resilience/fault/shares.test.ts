import { describe, expect, test } from 'vitest';
import { headerFields } from '../../../src/core/headers.js';
import type { FaultConfig } from '../../../src/core/model/fault.js';
import { FaultInjector, type Fate } from '../../../src/resilience/fault/injector.js';
import { aCall } from '../../support/calls.js';
import { aFault, faultEnv } from './support.js';

const DRAWS = 100_000;

/** Five standard deviations: by chance alone one test in 3.5 million would fail, and the seeds are fixed. */
const bound = (share: number): number => 5 * Math.sqrt(DRAWS * share * (1 - share));

/** Without a delay there is no waiting; what becomes of a request is known at once. */
function fates(config: Partial<FaultConfig>, headers: Record<string, string> = {}, seed = 7): (Fate | undefined)[] {
  const { env } = faultEnv(seed);
  const injector = new FaultInjector([aFault(config)], env);
  const call = aCall({ headers: headerFields(headers) });
  return Array.from({ length: DRAWS }, () => {
    const fate = injector.meet(call, undefined) as Fate | undefined;
    for (const body of fate?.bodies ?? []) body.end();
    return fate;
  });
}

const hits = (all: readonly (Fate | undefined)[]): number => all.filter((fate) => fate !== undefined).length;

function expectShare(count: number, share: number): void {
  expect(Math.abs(count - DRAWS * share)).toBeLessThanOrEqual(bound(share));
}

describe('100,000 requests meet each kind of fault as often as it is configured, within five standard deviations', () => {
  const kinds: Record<string, (share: number) => Partial<FaultConfig>> = {
    'an abort with an HTTP status': (share) => ({ abort: { kind: 'http', status: 503, share } }),
    'an abort with a gRPC status': (share) => ({ abort: { kind: 'grpc', status: 14, share } }),
    'a reset': (share) => ({ reset: { share } }),
    'a throttled reply': (share) => ({ throttle: { kind: 'fixed', bytesPerSecond: 1_000, share } }),
    'a truncated reply': (share) => ({ truncate: { afterBytes: 10, share } }),
  };
  for (const [name, config] of Object.entries(kinds)) {
    test.each([0.001, 0.05, 0.5, 0.93])(`${name}, %d`, (share) => {
      expectShare(hits(fates(config(share))), share);
    });
    test(`${name}, never and always`, () => {
      expect([hits(fates(config(0))), hits(fates(config(1)))]).toEqual([0, DRAWS]);
    });
  }

  test.each([0.001, 0.05, 0.5, 0.93])('a delay, %d', (share) => {
    const { env, faults } = faultEnv(7);
    const injector = new FaultInjector([aFault({ delay: { kind: 'fixed', ms: 5, share } })], env);
    // What waits is left to the clock, which stands still.
    for (let i = 0; i < DRAWS; i++) void injector.meet(aCall(), undefined);
    expectShare(faults().length, share);
  });
});

test('kinds are rolled each by itself: one fifth delayed and one twentieth aborted is 24 percent befallen, and a hundredth both', async () => {
  const { env, faults, clock } = faultEnv(7);
  const config = aFault({
    delay: { kind: 'fixed', ms: 5, share: 0.2 },
    abort: { kind: 'http', status: 503, share: 0.05 },
  });
  const injector = new FaultInjector([config], env);
  let untouched = 0;
  let both = 0;
  for (let i = 0; i < DRAWS; i++) {
    const fate = injector.meet(aCall(), undefined);
    if (fate === undefined) untouched++;
    if (fate instanceof Promise) void fate.then((after) => (both += after?.ending === undefined ? 0 : 1));
  }
  await clock.advance(5);
  expectShare(DRAWS - untouched, 0.24);
  expectShare(both, 0.01);
  expectShare(faults().filter((fault) => fault === 'delay').length, 0.2);
  expectShare(faults().filter((fault) => fault === 'abort').length, 0.05);
}, 60_000);

describe('a percentage field lowers the share, and never raises it', () => {
  const abort = (share: number, of?: number): Partial<FaultConfig> => ({ abort: { kind: 'header', share, of } });
  const asked = (percentage: string) => ({
    'x-envoy-fault-abort-request': '503',
    'x-envoy-fault-abort-request-percentage': percentage,
  });

  test.each([
    ['5', 0.5, undefined, 0.05],
    ['90', 0.5, undefined, 0.5],
    ['0', 0.5, undefined, 0],
    ['2000', 0.5, 10_000, 0.2],
    ['5', 0.5, 1_000_000, 0.000_005],
    ['999999999999', 0.5, 1_000_000, 0.5],
    ['-5', 0.5, undefined, 0.5],
    ['five', 0.5, undefined, 0.5],
    ['5.5', 0.5, undefined, 0.5],
    ['', 0.5, undefined, 0.5],
  ])('"%s" where %d is configured, of %s: %d', (percentage, share, of, expected) => {
    expectShare(hits(fates(abort(share, of), asked(percentage))), expected);
  });

  test('of a field that is there twice the first counts', () => {
    const { env } = faultEnv();
    const injector = new FaultInjector([aFault(abort(1))], env);
    const headers = headerFields({ 'x-envoy-fault-abort-request': ['418', '503'] });
    expect(injector.meet(aCall({ headers }), undefined)).toMatchObject({ ending: { kind: 'http', status: 418 } });
  });
});

describe('a caller gets nothing by header that the configuration does not leave to headers', () => {
  const everything = {
    'x-envoy-fault-abort-request': '418',
    'x-envoy-fault-abort-request-percentage': '100',
    'x-envoy-fault-delay-request': '10',
    'x-envoy-fault-throughput-response': '1',
  };

  test('a policy of fixed faults does not read them', () => {
    expect(hits(fates({ abort: { kind: 'http', status: 503, share: 0 } }, everything))).toBe(0);
    expect(fates({ abort: { kind: 'http', status: 503, share: 1 } }, everything)[0]).toMatchObject({
      ending: { status: 503 },
    });
  });

  test.each(['199', '600', '99999', '-1', 'x', '5e2', '0x1f4'])('an HTTP status of "%s" is none', (status) => {
    const all = fates({ abort: { kind: 'header', share: 1 } }, { 'x-envoy-fault-abort-request': status });
    expect(hits(all)).toBe(0);
  });

  test('the HTTP status goes before the gRPC status, and one that is none leaves it to that', () => {
    const abort: Partial<FaultConfig> = { abort: { kind: 'header', share: 1 } };
    const ending = (http: string) =>
      fates(abort, { 'x-envoy-fault-abort-request': http, 'x-envoy-fault-abort-grpc-request': '8' })[0]?.ending;
    expect(ending('429')).toEqual({ kind: 'http', status: 429 });
    expect(ending('99')).toEqual({ kind: 'grpc', status: 8 });
  });

  test.each(['0', '-1', 'x', ''])('a delay of "%s" is none, and a speed of as much', (value) => {
    const config: Partial<FaultConfig> = {
      delay: { kind: 'header', share: 1 },
      throttle: { kind: 'header', share: 1 },
    };
    const fields = { 'x-envoy-fault-delay-request': value, 'x-envoy-fault-throughput-response': value };
    expect(hits(fates(config, fields))).toBe(0);
  });

  test('a speed is in KiB a second', () => {
    const all = fates({ throttle: { kind: 'header', share: 1 } }, { 'x-envoy-fault-throughput-response': '3' });
    expect(all[0]?.bodies[0]?.bytesPerSecond).toBe(3_072);
  });
});
