import type { RateLimitService } from '../core/limits.js';
import type { Service } from '../core/service.js';
import type { RlsRef } from '../resilience/ratelimit/stores.js';

/** A rate limit service, asked through the mesh; what that takes is loaded when a rule names one. `beside`: `Destinations.beside`. */
export async function askRateLimitService({ service }: RlsRef, beside: Service): Promise<RateLimitService> {
  const [{ rateLimitService }, { unary }] = await Promise.all([
    import('../resilience/ratelimit/rls/service.js'),
    import('../client/grpc/unary.js'),
  ]);
  return rateLimitService(service, (request) => unary(beside, request));
}
