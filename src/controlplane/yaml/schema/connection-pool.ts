import * as v from 'valibot';
import { about, count, duration, integer, percent, requiredDuration } from './fields.js';

const retryBudget = v.strictObject({
  percent: about(
    v.optional(percent, 20),
    'Retries under way as a share of calls under way and waiting, in percent (Envoy `budget_percent`). Default 20.',
  ),
  minRetryConcurrency: about(
    v.optional(count(0), 3),
    'So many in any case (Envoy `min_retry_concurrency`). Default 3.',
  ),
});

const high = v.strictObject({
  maxPendingRequests: about(v.optional(count(0)), 'Calls that wait for a connection. Default 1024.'),
  maxRequests: about(v.optional(count(0)), 'Calls under way at once. Default 1024.'),
  maxRetries: about(v.optional(count(0)), 'Retries under way at once. Default: no such limit.'),
});

export const connectionPool = v.strictObject({
  maxConnections: about(
    v.optional(count(1)),
    'Connections from one client to the Service (Envoy `max_connections`). Default 1024.',
  ),
  maxPendingRequests: about(
    v.optional(count(0)),
    'Calls of one client that wait for a connection (Envoy `max_pending_requests`). Default 1024.',
  ),
  maxRequests: about(
    v.optional(count(0)),
    'Calls of one client under way at once (Envoy `max_requests`). Default 1024.',
  ),
  maxRetries: about(
    v.optional(count(0)),
    'Retries of one client under way at once (Envoy `max_retries`). Default: no such limit; the retry budget decides.',
  ),
  retryBudget: about(
    v.optional(retryBudget),
    'Retries under way by what is under way (Envoy `retry_budget`), in place of `maxRetries` and of `retryConstraint`. Default: none.',
  ),
  high: about(
    v.optional(high),
    'Limits of calls with priority `high`, counted apart (Envoy `circuit_breakers` for HIGH). Default: they share those of the others.',
  ),
  batchPercent: about(
    v.optional(percent),
    'What calls with priority `batch` may have of `maxRequests` and `maxPendingRequests`, in percent (Netflix concurrency-limits). Default 10.',
  ),
  warmConnections: about(
    v.optional(integer(0, 100)),
    'Connections opened to each endpoint ahead of calls, from the first call on or from `mesh.ready(name)`, and opened again when they end. Default 0.',
  ),
  maxConnectionDuration: about(
    v.optional(duration),
    'A connection takes no new calls after this long (Istio, Envoy `max_connection_duration`). Default: no limit.',
  ),
  maxRequestsPerConnection: about(
    v.optional(count(1)),
    'Nor after so many calls (Istio, Envoy `max_requests_per_connection`). Default: no limit.',
  ),
  http2Keepalive: about(
    v.optional(
      v.strictObject({
        interval: requiredDuration('Time between PINGs, at least 1ms.'),
        timeout: about(v.optional(duration, '20s'), 'How long to wait for the answer (gRPC has 20s). Default 20s.'),
      }),
    ),
    'PINGs that find dead connections, where endpoints speak HTTP/2 by `appProtocol` (Envoy `connection_keepalive`). Default: none.',
  ),
});

export type ConnectionPoolSpec = v.InferOutput<typeof connectionPool>;
