import { isIP, isIPv4 } from 'node:net';
import { type Resolver, watchDns } from '../core/dns.js';
import { ConfigUnavailableError } from '../core/errors.js';
import { routeTo } from '../core/model/beside.js';
import { DEFAULT_BALANCER } from '../core/model/balancer.js';
import { DEFAULT_CIRCUIT_LIMITS } from '../core/model/circuit-limits.js';
import type { ClusterConfig } from '../core/model/cluster.js';
import { DEFAULT_CONNECT_TIMEOUT_MS, DEFAULT_IDLE_TIMEOUT_MS } from '../core/model/connection.js';
import { type Address, addressKey } from '../core/model/endpoint.js';
import { DEFAULT_RETRY_BUDGET } from '../core/model/retry-budget.js';
import { DEFAULT_RETRY } from '../core/model/route.js';
import type { TargetConfig } from '../core/model/target.js';
import { Destination } from './destination.js';
import type { ClusterRegistry } from './endpoints/registry.js';
import type { ClientEnv } from './env.js';
import type { HoldingSource } from './holding-source.js';
import { endpointAt } from './passthrough.js';

/** One address, and what is spoken to it; gRPC is always HTTP/2. */
export interface PinnedTo extends Address {
  readonly protocol: 'http1' | 'http2';
}

/**
 * The one program that a server's proxy stands in front of: whatever a call names, it goes to this address in plain text and nowhere else, and no Service, route or egress
 * policy of the mesh has a say in it. As Istio's `inbound|8080||`: no time limit but the caller's, and nothing is tried again that the caller would try again itself, which
 * is what has had an answer.
 */
export function pinned(to: PinnedTo, resolve: Resolver, clusters: ClusterRegistry, env: ClientEnv): Destination {
  const { host, port } = to;
  return new Destination(addressKey(to), NO_MESH, clusters, env, (use, fail) => {
    if (isIP(host) !== 0) {
      use(targetOf(to, [host]));
      return () => {};
    }
    let resolved = false;
    return watchDns(
      host,
      { resolve, clock: env.clock, random: env.random, logger: env.logger },
      {
        addresses(ips) {
          resolved = true;
          const v4 = ips.filter((ip) => isIPv4(ip));
          use(targetOf(to, v4.length > 0 ? v4 : ips));
        },
        failed(cause) {
          if (!resolved)
            fail(
              new ConfigUnavailableError(`the program at ${host}:${port} cannot be found: ${cause.message}`, { cause }),
            );
        },
      },
    );
  });
}

function targetOf({ host, port, protocol }: PinnedTo, ips: readonly string[]): TargetConfig {
  const name = `app:${addressKey({ host, port })}`;
  const cluster: ClusterConfig = {
    kind: 'leaf',
    name,
    edsServiceName: undefined,
    loadReports: undefined,
    statName: 'app',
    balancer: DEFAULT_BALANCER,
    limits: DEFAULT_CIRCUIT_LIMITS,
    retryBudget: DEFAULT_RETRY_BUDGET,
    protocol,
    connectTimeoutMs: DEFAULT_CONNECT_TIMEOUT_MS,
    idleTimeoutMs: DEFAULT_IDLE_TIMEOUT_MS,
    tls: undefined,
    endpoints: ips.map((ip) => endpointAt(ip, port, host)),
    drops: [],
  };
  const route = routeTo(name, { name: 'app', timeoutMs: 0 });
  return Object.freeze({
    authority: addressKey({ host, port }),
    clusters: new Map([[name, Object.freeze(cluster)]]),
    routes: [{ ...route, action: { ...route.action, retry: RETRY } }],
  } satisfies TargetConfig);
}

/** A pooled connection that the program closed as it was used. */
const RETRY = { ...DEFAULT_RETRY, on: new Set(['reset', 'connect-failure', 'refused-stream'] as const) };

/** Knows no authority. */
const NO_MESH: HoldingSource = {
  watch(_, watcher) {
    watcher.unknown();
    return () => {};
  },
};
