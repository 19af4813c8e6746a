import type { Message } from './message.js';

const DENOMINATORS = { HUNDRED: 100, TEN_THOUSAND: 10_000, MILLION: 1_000_000 } as const;

/** `type.v3.FractionalPercent` as a share in [0, 1]; more than the whole is the whole, as in Envoy. */
export function fractionalPercent(percent: Message): number {
  return Math.min(1, percent.uint32('numerator') / denominator(percent));
}

/** What it counts in: 100, 10_000 or 1_000_000. */
export function denominator(percent: Message): number {
  return DENOMINATORS[percent.choice('denominator', ['HUNDRED', 'TEN_THOUSAND', 'MILLION'])];
}

/** `core.v3.RuntimeFractionalPercent`: there is no runtime layer here, so that its "default_value" is the value (gRFC A28). 1 when not set. */
export function runtimeFraction(fraction: Message | undefined): number {
  return fraction === undefined ? 1 : fractionalPercent(fraction.required('default_value'));
}

/** `type.v3.Percent`, "gte: 0.0 lte: 100.0" (percent.proto), as a share in [0, 1]. Undefined when not set. */
export function percentShare(owner: Message, field: string): number | undefined {
  const percent = owner.message(field);
  if (percent === undefined) return undefined;
  const value = percent.double('value');
  if (value < 0 || value > 100) throw percent.error('value', `must be from 0 to 100, got ${value}`);
  return value / 100;
}
