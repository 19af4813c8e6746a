import { isIP, isIPv4 } from 'node:net';
import type { Scheme } from '../core/call.js';
import { type Resolver, watchDns } from '../core/dns.js';
import { ConfigUnavailableError, EgressDeniedError, type MeshError, UnknownHostError } from '../core/errors.js';
import { routeTo } from '../core/model/beside.js';
import type { ClusterConfig } from '../core/model/cluster.js';
import { DEFAULT_BALANCER } from '../core/model/balancer.js';
import { DEFAULT_CIRCUIT_LIMITS } from '../core/model/circuit-limits.js';
import { DEFAULT_IDLE_TIMEOUT_MS } from '../core/model/connection.js';
import { DEFAULT_RETRY_BUDGET } from '../core/model/retry-budget.js';
import { addressKey, type EndpointConfig } from '../core/model/endpoint.js';
import { systemTls } from '../core/model/tls.js';
import type { TargetConfig } from '../core/model/target.js';
import type { EgressHolder } from './egress.js';
import type { ClientEnv } from './env.js';

/** Hosts outside are farther away than endpoints of the mesh: Envoy's default `connect_timeout`, 5 s. */
const EXTERNAL_CONNECT_TIMEOUT_MS = 5_000;

export interface PassthroughOptions {
  /** What happens with a host that the configuration does not know. Read anew for every destination. */
  readonly policy: () => 'passthrough' | 'deny';
  readonly resolve: Resolver;
  /** What may leave. Absent: everything. */
  readonly egress?: EgressHolder | undefined;
}

/** A host outside the mesh: its addresses by DNS, with the default policies. Ends when the result is called. */
export function passthrough(
  authority: string,
  scheme: Scheme,
  options: PassthroughOptions,
  env: ClientEnv,
  use: (config: TargetConfig) => void,
  fail: (error: MeshError) => void,
): () => void {
  const { host, port } = splitAuthority(authority, scheme);
  const trouble = options.egress?.trouble;
  // Asked again when it is known.
  if (trouble === 'awaited') return () => {};
  if (trouble !== undefined) {
    fail(trouble);
    return () => {};
  }
  const egress = options.egress?.policy;
  if (options.policy() === 'deny' && egress?.registers({ host, port }) !== true) {
    fail(new UnknownHostError(authority));
    return () => {};
  }
  // Before the name is looked up: that tells somebody, too.
  if (egress?.mayLeave({ host, port }) === false) {
    fail(new EgressDeniedError(authority));
    return () => {};
  }
  const serve = (found: readonly string[]): void => {
    const ips = egress === undefined ? found : found.filter((ip) => egress.allows({ host, port }, ip, false));
    if (ips.length === 0 && found.length > 0) fail(new EgressDeniedError(authority));
    else use(targetFor(authority, scheme, host, port, ips));
  };
  if (isIP(host) !== 0) {
    serve([host]);
    return () => {};
  }
  let resolved = false;
  return watchDns(
    host,
    { resolve: options.resolve, clock: env.clock, random: env.random, logger: env.logger },
    {
      addresses(ips) {
        resolved = true;
        // Not both families of one host: `localhost` is two addresses and mostly one server. IPv4 as most servers listen on it.
        const v4 = ips.filter((ip) => isIPv4(ip));
        serve(v4.length > 0 ? v4 : ips);
      },
      failed(error) {
        if (resolved) return;
        fail(
          new ConfigUnavailableError(`${notInMesh(authority, host)} cannot be resolved: ${error.message}`, {
            cause: error,
          }),
        );
      },
    },
  );
}

/** A Service of that name may well be there, with other ports: what is not there is the two together. */
const notInMesh = (authority: string, host: string): string =>
  authority === host
    ? `host "${host}" is not in the mesh and`
    : `"${authority}" is not in the mesh (a Service answers to the ports that it lists, and to no others) and host "${host}"`;

/** `host[:port]`, IPv6 in brackets; the port that goes with the scheme when there is none. */
export function splitAuthority(authority: string, scheme: Scheme): { readonly host: string; readonly port: number } {
  const match = /^(?:\[([^\]]+)\]|([^:]*))(?::(\d+))?$/.exec(authority);
  const host = match?.[1] ?? match?.[2] ?? authority;
  return { host, port: match?.[3] === undefined ? (scheme === 'https' ? 443 : 80) : Number(match[3]) };
}

function targetFor(
  authority: string,
  scheme: Scheme,
  host: string,
  port: number,
  ips: readonly string[],
): TargetConfig {
  const name = `passthrough:${scheme}://${addressKey({ host, port })}`;
  const cluster: ClusterConfig = {
    kind: 'leaf',
    name,
    edsServiceName: undefined,
    loadReports: undefined,
    statName: 'passthrough',
    balancer: DEFAULT_BALANCER,
    limits: DEFAULT_CIRCUIT_LIMITS,
    retryBudget: DEFAULT_RETRY_BUDGET,
    protocol: 'http1',
    connectTimeoutMs: EXTERNAL_CONNECT_TIMEOUT_MS,
    idleTimeoutMs: DEFAULT_IDLE_TIMEOUT_MS,
    tls: scheme === 'https' ? systemTls(host) : undefined,
    endpoints: ips.map((ip) => endpointAt(ip, port, host)),
    drops: [],
  };
  return Object.freeze({
    authority,
    clusters: new Map([[name, Object.freeze(cluster)]]),
    routes: [routeTo(name, { name: 'passthrough', timeoutMs: undefined })],
  } satisfies TargetConfig);
}

/** The server of a host at one of its addresses. */
export function endpointAt(ip: string, port: number, hostname: string): EndpointConfig {
  const address = { host: ip, port };
  return Object.freeze({
    key: addressKey(address),
    addresses: [address],
    hostname,
    weight: 1,
    locality: { region: '', zone: '', subZone: '' },
    localityWeight: 1,
    priority: 0,
    health: 'unknown',
    labels: {},
  } satisfies EndpointConfig);
}
