import type { LimitDescriptor, LimitServiceAnswer, RateLimitService } from '../../../core/limits.js';
import type { Limit } from '../../../core/model/limit.js';
import { RLS_METHOD, type RlsDescriptor, rlsUnitOf } from '../../../core/rls.js';
import { readRlsResponse } from '../../../core/rls-read.js';
import { writeRlsRequest } from '../../../core/rls-write.js';
import { answerOf } from './answer.js';

/** A call of a gRPC method with one message each way, through the mesh (client/grpc/unary.ts). */
export type AskUnary = (request: {
  readonly authority: string;
  readonly path: string;
  readonly message: Uint8Array;
  readonly timeoutMs: number;
  readonly maxMessageBytes: number;
}) => Promise<Uint8Array>;

/** A status has some 40 bytes and a body is for people. */
const MAX_ANSWER_BYTES = 262_144;

/**
 * Asks the service that is called `authority` in the mesh: Envoy's rate limit service protocol, as a client. The call is a call like any other, with the
 * mesh's balancing, retries as its route says, and one time limit over all of it.
 */
export function rateLimitService(authority: string, ask: AskUnary): RateLimitService {
  return {
    async shouldRateLimit(domain, descriptors, timeoutMs) {
      const message = writeRlsRequest({ domain, ...counted(descriptors) });
      const path = RLS_METHOD;
      const bytes = await ask({ authority, path, message, timeoutMs, maxMessageBytes: MAX_ANSWER_BYTES });
      const response = readRlsResponse(bytes);
      if (response === undefined) throw new Error(`"${authority}" answered with what is no RateLimitResponse`);
      return answerOf(response, descriptors.length) satisfies LimitServiceAnswer;
    },
  };
}

/** `hits_addend` of a descriptor is younger than that of the request, which older services know alone: used where it cannot say it. */
function counted(descriptors: readonly LimitDescriptor[]): Omit<Parameters<typeof writeRlsRequest>[0], 'domain'> {
  const hits = descriptors[0]?.hits ?? 1;
  const alike = hits > 0 && descriptors.every((it) => it.hits === hits);
  return {
    hitsAddend: alike ? hits : 0,
    descriptors: descriptors.map((it) => ({
      entries: it.entries,
      limit: limitOf(it.limit),
      hitsAddend: alike ? undefined : it.hits,
    })),
  };
}

/** What the service has no words for was refused where the configuration was read. */
function limitOf(limit: Limit | undefined): RlsDescriptor['limit'] {
  const unit = limit?.algorithm === 'fixed_window' ? rlsUnitOf(limit.perMs) : undefined;
  return limit === undefined || unit === undefined ? undefined : { requestsPerUnit: limit.requests, unit };
}
