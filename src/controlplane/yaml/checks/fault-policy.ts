import type { Path, Report } from '../problem.js';
import type { FaultGuardSpec, FaultPolicySpec } from '../schema/fault-policy.js';
import { between, DAY_MS } from './bounds.js';
import { checkHeaderMatches } from './header-match.js';
import { checkTargets } from './limit.js';

const FAULTS = ['delay', 'abort', 'reset', 'throttle', 'truncate'] as const;
/** What befalls bodies of replies, which a server's middleware has no hand in. */
const OF_BODIES = ['throttle', 'truncate'] as const;
const HOUR_MS = 3_600_000;

export function checkFaultPolicy(spec: FaultPolicySpec, report: Report): void {
  checkTargets(spec.targetRefs, report);
  if (FAULTS.every((fault) => spec[fault] === undefined))
    report(['spec'], `must have one of ${FAULTS.join(', ')}`, { expected: FAULTS.join(', ') });
  for (const fault of OF_BODIES) {
    if (spec.side === 'server' && spec[fault] !== undefined) {
      report(
        ['spec', fault],
        'means nothing with "side: server", which leaves bodies of replies as they are: use "side: client"',
        { expected: 'side: client' },
      );
    }
  }
  checkDelay(spec.delay, ['spec', 'delay'], report);
  exactlyOne(spec.abort, ['httpStatus', 'grpcStatus', 'headerAbort'], ['spec', 'abort'], report);
  exactlyOne(spec.throttle, ['bytesPerSecond', 'headerLimit'], ['spec', 'throttle'], report);
  checkHeaderMatches(spec.headers, ['spec', 'headers'], report);
  const at = ['spec', 'experiment'];
  between(report, [...at, 'duration'], spec.experiment?.duration, 1_000, DAY_MS);
  spec.experiment?.guards.forEach((guard, index) => {
    checkGuard(guard, [...at, 'guards', index], report);
  });
}

function checkDelay(delay: FaultPolicySpec['delay'], at: Path, report: Report): void {
  if (delay === undefined) return;
  exactlyOne(delay, ['fixedDelay', 'uniform', 'normal', 'exponential', 'headerDelay'], at, report);
  between(report, [...at, 'fixedDelay'], delay.fixedDelay, 1, HOUR_MS);
  const { uniform, normal, exponential } = delay;
  between(report, [...at, 'uniform', 'max'], uniform?.max, Math.max(1, uniform?.min ?? 0), HOUR_MS);
  between(report, [...at, 'normal', 'max'], normal?.max, 1, HOUR_MS);
  between(report, [...at, 'normal', 'mean'], normal?.mean, 0, HOUR_MS);
  between(report, [...at, 'normal', 'deviation'], normal?.deviation, 0, HOUR_MS);
  between(report, [...at, 'exponential', 'max'], exponential?.max, 1, HOUR_MS);
  between(report, [...at, 'exponential', 'mean'], exponential?.mean, 1, HOUR_MS);
}

function exactlyOne<T extends object>(
  of: T | undefined,
  names: readonly (keyof T & string)[],
  at: Path,
  report: Report,
): void {
  if (of === undefined) return;
  const [first, ...others] = names.filter((name) => of[name] !== undefined);
  if (first === undefined) report(at, `must have one of ${names.join(', ')}`, { expected: names.join(', ') });
  for (const other of others) report([...at, other], `cannot be combined with ${first}: keep one of them`);
}

function checkGuard(guard: FaultGuardSpec, at: Path, report: Report): void {
  exactlyOne(guard, ['successRate', 'latency'], at, report);
  const { minimum = 0 } = guard.successRate ?? {};
  // A guard that less than one success in a hundred crosses guards nothing.
  if (minimum > 0 && minimum < 1) {
    const meant = Number((minimum * 100).toPrecision(12));
    report([...at, 'successRate', 'minimum'], `is in percent, from 1 to 100: ${meant} for ${meant} %, got ${minimum}`, {
      expected: 'percent, from 1 to 100',
    });
  }
  between(report, [...at, 'successRate', 'window'], guard.successRate?.window, 1_000, HOUR_MS);
  between(report, [...at, 'latency', 'window'], guard.latency?.window, 1_000, HOUR_MS);
  between(report, [...at, 'latency', 'maximum'], guard.latency?.maximum, 1, HOUR_MS);
}
