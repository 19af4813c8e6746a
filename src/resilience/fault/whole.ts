import type { FaultConfig } from '../../core/model/fault.js';

const KINDS = ['delay', 'abort', 'reset', 'throttle', 'truncate'] as const;

/**
 * Policies as they were written. What Envoy has words for comes in a filter of Envoy's and the rest in one of ours beside it, under one name; put together
 * again, the delay comes first, a reset goes before an abort, and they count as one among the faults under way.
 */
export function wholePolicies(configs: readonly FaultConfig[]): readonly FaultConfig[] {
  const whole: FaultConfig[] = [];
  for (const config of configs) {
    const at = whole.findIndex((other) => isOther(other, config));
    if (at < 0) whole.push(config);
    else whole[at] = together(whole[at] as FaultConfig, config);
  }
  return whole;
}

/** Whether they are two parts of one policy: about the same requests, and neither says what the other does. */
function isOther(a: FaultConfig, b: FaultConfig): boolean {
  return (
    a.name === b.name &&
    a.maxActive === b.maxActive &&
    a.cluster === b.cluster &&
    a.experiment === undefined &&
    b.experiment === undefined &&
    KINDS.every((kind) => a[kind] === undefined || b[kind] === undefined) &&
    JSON.stringify([a.headers, a.downstreamNodes]) === JSON.stringify([b.headers, b.downstreamNodes])
  );
}

const together = (a: FaultConfig, b: FaultConfig): FaultConfig => ({
  ...a,
  delay: a.delay ?? b.delay,
  abort: a.abort ?? b.abort,
  reset: a.reset ?? b.reset,
  throttle: a.throttle ?? b.throttle,
  truncate: a.truncate ?? b.truncate,
});
