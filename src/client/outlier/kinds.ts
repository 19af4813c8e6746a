import type { OutlierConfig } from '../../core/model/outlier.js';
import type { EjectionType } from './ejection.js';

type Kind = { readonly enforcing: number } | undefined;

/** By type; what is undefined, or has no effect without the split, does not eject. */
function kinds(config: OutlierConfig): Readonly<Record<EjectionType, Kind>> {
  const split = config.splitLocalOrigin;
  return {
    consecutive_5xx: config.consecutive5xx,
    consecutive_gateway_failure: config.consecutiveGatewayFailure,
    consecutive_local_origin_failure: split ? config.consecutiveLocalOriginFailure : undefined,
    success_rate: config.successRate,
    success_rate_local_origin: split ? config.localOriginSuccessRate : undefined,
    failure_percentage: config.failurePercentage,
    failure_percentage_local_origin: split ? config.localOriginFailurePercentage : undefined,
  };
}

/** The kinds that eject. */
export function configuredKinds(config: OutlierConfig): EjectionType[] {
  const found: EjectionType[] = [];
  for (const [type, kind] of Object.entries(kinds(config))) if (kind !== undefined) found.push(type as EjectionType);
  return found;
}

/** Share of those found that are ejected. */
export const enforcingOf = (config: OutlierConfig, type: EjectionType): number => kinds(config)[type]?.enforcing ?? 0;
