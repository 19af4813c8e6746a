import type { ClusterConfig } from '../../src/core/model/cluster.js';
import { ConnectError } from '../../src/client/transport/errors.js';
import { Destinations } from '../../src/client/destinations.js';
import type { HoldingSource } from '../../src/client/holding-source.js';
import type { ClientEnv } from '../../src/client/env.js';
import type { Call, CallInit } from '../../src/core/call.js';
import type { Reply } from '../../src/core/reply.js';
import { aCall, aReply } from './calls.js';
import { memoryEnv } from './client-env.js';
import { HandSource } from './config.js';
import { aCluster, aForward, aRoute } from './targets.js';

/** A client in memory whose endpoints can be taken down and brought up: those in `down` refuse connections, those in `silent` never answer one. */
export function failoverClient(
  options: {
    readonly env?: Partial<ClientEnv>;
    readonly source?: HoldingSource;
    readonly answer?: (endpoint: string, call: Call) => Reply | Promise<Reply>;
  } = {},
) {
  const down = new Set<string>();
  const silent = new Set<string>();
  const connections: string[] = [];
  const memory = memoryEnv(
    (endpoint, call) => {
      if (down.has(endpoint)) throw new ConnectError(endpoint, 'refused');
      if (silent.has(endpoint)) return new Promise<Reply>((_, reject) => call.cancellation.add(reject));
      return options.answer?.(endpoint, call) ?? aReply();
    },
    async (endpoint) => {
      connections.push(endpoint);
      if (down.has(endpoint)) throw new ConnectError(endpoint, 'refused');
      if (silent.has(endpoint)) await new Promise(() => {});
    },
  );
  const source = new HandSource();
  const destinations = new Destinations(
    options.source ?? source,
    { ...memory.env, ...options.env },
    { policy: () => 'deny', resolve: async () => [] },
  );
  const call = (init: Partial<CallInit> = {}): Promise<Reply> => destinations.service(aCall(init));
  /** Endpoints that calls went to since the last time. */
  const took = (): string[] => memory.sent.splice(0).map(({ endpoint }) => endpoint);
  /** Endpoints that were connected to without a call since the last time. */
  const looked = (): string[] => connections.splice(0);
  return { ...memory, down, silent, source, destinations, call, took, looked };
}

/** A cluster with so many levels: endpoints by priority. */
export function leveled(
  name: string,
  levels: readonly (readonly string[])[],
  more: Partial<ClusterConfig> = {},
): ClusterConfig {
  const { endpoints, ...rest } = aCluster(name, levels.flat(), more);
  const priorityOf = (key: string): number => levels.findIndex((level) => level.includes(key));
  return { ...rest, endpoints: endpoints.map((endpoint) => ({ ...endpoint, priority: priorityOf(endpoint.key) })) };
}

/** The one route of most tests: everything to `cluster`, tried once, so that what is seen is not retry's doing. */
export const once = (cluster = 'reviews') =>
  aRoute({
    action: aForward(
      { [cluster]: 1 },
      {
        timeoutMs: 0,
        retry: {
          on: new Set(),
          statusCodes: new Set(),
          maxRetries: 0,
          perTryTimeoutMs: undefined,
          baseMs: 25,
          maxMs: 250,
          regardlessOfMethod: false,
        },
      },
    ),
  });
