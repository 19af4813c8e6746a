import { ambient } from '../../core/ambient.js';
import { InboundContext } from '../context.js';
import type { RequestMetrics } from './request-metrics.js';

/** Where a handler records what its request costs (gRFC A51); undefined outside of a request, and where load is not reported. */
export function requestMetrics(): RequestMetrics | undefined {
  const now = ambient();
  const context = now?.request ?? now;
  return context instanceof InboundContext ? context.metrics : undefined;
}
