import { GRPC_STATUS_NAMES } from '../../core/grpc-status.js';
import type { Resource } from '../../core/resources.js';
import type { DocumentOf } from '../yaml/document.js';
import type { FaultGuardSpec, FaultPolicySpec } from '../yaml/schema/fault-policy.js';
import { headerMatcher } from './header-matcher.js';
import type { Own } from './limit-rules.js';
import { any, duration, wrapped } from './proto.js';

const HTTP_FAULT = 'envoy.extensions.filters.http.fault.v3.HTTPFault';
const KIB = 1_024;

/** What a policy comes to. */
export interface CompiledFaults {
  /** Name of the policy, and of its filter. */
  readonly name: string;
  /** Envoy's `HTTPFault`, of what it has words for; undefined: nothing. */
  readonly envoy: Resource | undefined;
  /**
   * `inmesh.dev/fault`: the rest, as `FaultConfig` of `core/model/fault.ts` in snake_case (`afterBytes` is `after_bytes`), kinds as they are there; `headers`
   * as a Struct has Envoy's `HeaderMatcher`.
   */
  readonly own: Own | undefined;
}

/** An experiment is all ours: Envoy's part would not end with it. */
export function compileFaults({ namespace, name: own, spec }: DocumentOf<'FaultPolicy'>): CompiledFaults {
  const name = `${namespace}/${own}`;
  const mine = spec.experiment !== undefined;
  const envoy = mine ? {} : { ...envoyDelay(spec.delay), ...envoyAbort(spec.abort), ...envoyThrottle(spec.throttle) };
  const rest = {
    ...(envoy.delay === undefined && ownDelay(spec.delay)),
    ...(envoy.abort === undefined && ownAbort(spec.abort)),
    ...(spec.reset !== undefined && { reset: share(spec.reset.percentage) }),
    ...(envoy.response_rate_limit === undefined && ownThrottle(spec.throttle)),
    ...(spec.truncate !== undefined && {
      truncate: { after_bytes: spec.truncate.afterBytes, ...share(spec.truncate.percentage) },
    }),
  };
  const headers = spec.headers.map(headerMatcher);
  const { maxActiveFaults: max } = spec;
  return {
    name,
    envoy: isEmpty(envoy)
      ? undefined
      : any(HTTP_FAULT, {
          ...envoy,
          ...(headers.length > 0 && { headers: headers as unknown as readonly Resource[] }),
          ...(max !== undefined && { max_active_faults: wrapped(max) }),
        }),
    own: isEmpty(rest)
      ? undefined
      : {
          name,
          ...rest,
          ...(headers.length > 0 && { headers }),
          ...(max !== undefined && { max_active: max }),
          ...(spec.experiment !== undefined && { experiment: experimentOf(spec.experiment, name) }),
        },
  };
}

const isEmpty = (value: object): boolean => Object.keys(value).length === 0;

interface EnvoyFaults {
  readonly delay?: Resource;
  readonly abort?: Resource;
  readonly response_rate_limit?: Resource;
}

function envoyDelay(delay: FaultPolicySpec['delay']): EnvoyFaults {
  if (delay?.fixedDelay !== undefined)
    return { delay: { fixed_delay: duration(delay.fixedDelay), ...percentage(delay.percentage) } };
  if (delay?.headerDelay !== undefined) return { delay: { header_delay: {}, ...percentage(delay.percentage) } };
  return {};
}

function envoyAbort(abort: FaultPolicySpec['abort']): EnvoyFaults {
  if (abort === undefined) return {};
  const { httpStatus, grpcStatus } = abort;
  const what =
    httpStatus !== undefined
      ? { http_status: httpStatus }
      : grpcStatus !== undefined
        ? { grpc_status: GRPC_STATUS_NAMES.indexOf(grpcStatus) }
        : { header_abort: {} };
  return { abort: { ...what, ...percentage(abort.percentage) } };
}

/** Envoy counts in KiB/s, from 1. */
function envoyThrottle(throttle: FaultPolicySpec['throttle']): EnvoyFaults {
  if (throttle === undefined) return {};
  const { bytesPerSecond: bytes, percentage: percent } = throttle;
  if (bytes === undefined) return { response_rate_limit: { header_limit: {}, ...percentage(percent) } };
  if (bytes % KIB !== 0) return {};
  return { response_rate_limit: { fixed_limit: { limit_kbps: bytes / KIB }, ...percentage(percent) } };
}

/** In the coarsest unit that says it: the percentage headers count in the same. HUNDRED is the first name of the enum, and never travels. */
function percentage(percent: number): Resource {
  const { denominator, of } = unitOf(percent);
  const numerator = Math.round((percent * of) / 100);
  return {
    percentage: { ...(numerator > 0 && { numerator }), ...(of !== 100 && { denominator }) },
  };
}

const UNITS = [
  { denominator: 'HUNDRED', of: 100 },
  { denominator: 'TEN_THOUSAND', of: 10_000 },
  { denominator: 'MILLION', of: 1_000_000 },
] as const;

const unitOf = (percent: number): (typeof UNITS)[number] =>
  UNITS.find(({ of }) => Math.abs((percent * of) / 100 - Math.round((percent * of) / 100)) < 1e-9) ?? UNITS[2];

function share(percent: number): Own {
  const { of } = unitOf(percent);
  return { share: percent / 100, ...(of !== 100 && { of }) };
}

function ownDelay(delay: FaultPolicySpec['delay']): Own {
  if (delay === undefined) return {};
  return { delay: { ...delayKind(delay), ...share(delay.percentage) } };
}

function delayKind({ fixedDelay, uniform, normal, exponential }: NonNullable<FaultPolicySpec['delay']>): Own {
  if (fixedDelay !== undefined) return { kind: 'fixed', ms: fixedDelay };
  if (uniform !== undefined) return { kind: 'uniform', min_ms: uniform.min, max_ms: uniform.max };
  if (normal !== undefined)
    return { kind: 'normal', mean_ms: normal.mean, deviation_ms: normal.deviation, max_ms: normal.max };
  if (exponential !== undefined) return { kind: 'exponential', mean_ms: exponential.mean, max_ms: exponential.max };
  return { kind: 'header' };
}

function ownAbort(abort: FaultPolicySpec['abort']): Own {
  if (abort === undefined) return {};
  const { httpStatus, grpcStatus } = abort;
  const what =
    httpStatus !== undefined
      ? { kind: 'http', status: httpStatus }
      : grpcStatus !== undefined
        ? { kind: 'grpc', status: GRPC_STATUS_NAMES.indexOf(grpcStatus) }
        : { kind: 'header' };
  return { abort: { ...what, ...share(abort.percentage) } };
}

function ownThrottle(throttle: FaultPolicySpec['throttle']): Own {
  if (throttle === undefined) return {};
  const { bytesPerSecond } = throttle;
  const what = bytesPerSecond === undefined ? { kind: 'header' } : { kind: 'fixed', bytes_per_second: bytesPerSecond };
  return { throttle: { ...what, ...share(throttle.percentage) } };
}

const experimentOf = (
  { run, duration: ms, guards }: NonNullable<FaultPolicySpec['experiment']>,
  name: string,
): Own => ({
  id: `${name}/${run}`,
  duration_ms: ms,
  guards: guards.map(guardOf),
});

function guardOf({ successRate, latency }: FaultGuardSpec): Own {
  if (successRate !== undefined) {
    const { minimum, window, minimumRequests } = successRate;
    return { kind: 'success-rate', min: minimum / 100, window_ms: window, min_requests: minimumRequests };
  }
  return {
    kind: 'latency',
    percentile: (latency?.percentile ?? 0) / 100,
    max_ms: latency?.maximum ?? 0,
    window_ms: latency?.window ?? 0,
    min_requests: latency?.minimumRequests ?? 0,
  };
}
