import type { Clock } from '../../core/clock.js';
import type { Logger } from '../../core/log.js';
import type { EndpointConfig } from '../../core/model/endpoint.js';
import type { UpstreamTls } from '../../core/model/tls.js';
import type { Random } from '../../core/random.js';
import type { TlsClient, TlsFactory } from '../../core/tls.js';
import type { ConnectionLimits, TransportFactory } from '../../core/transport.js';

/** Envoy's `HealthCheckFailureType`. `passive`: a call, not a check, brought the news. */
export type FailureType = 'active' | 'passive' | 'network' | 'network_timeout';

/** What one check came to. */
export type CheckResult =
  | { readonly passed: true; readonly degraded: boolean }
  | {
      readonly passed: false;
      readonly failure: FailureType;
      /** It counts towards the threshold, and is not unhealthy at once. */
      readonly retriable: boolean;
      readonly detail: string;
    };

/** Asks one endpoint, over connections of its own. */
export interface Probe {
  /** Begins one check. `done` runs once, unless the result was called before: that gives the check up, with its connection. */
  start(done: (result: CheckResult) => void): () => void;
  close(): void;
}

/** Whom to ask. */
export interface ProbeTarget {
  /** With the ports to be asked. */
  readonly endpoint: EndpointConfig;
  /** Host or `:authority` that it is asked under. */
  readonly host: string;
  readonly tls: UpstreamTls | undefined;
  /** Milliseconds after which the session gives the check up. */
  readonly timeoutMs: number;
  readonly reuseConnection: boolean;
}

export interface ProbeEnv {
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly transports: { readonly http1: TransportFactory; readonly http2: TransportFactory };
  readonly tls: TlsFactory;
}

/** TLS to whom a check asks; undefined: plain text. */
export const tlsTo = ({ tls, endpoint }: ProbeTarget, factory: TlsFactory): TlsClient | undefined =>
  tls && factory.client(tls, endpoint.hostname ?? endpoint.addresses[0].host);

/** Checks are few, and must not fail because calls are many: the cluster's limits do not hold for them (as in Envoy). */
export const UNLIMITED: ConnectionLimits = {
  tryOpen: () => true,
  closed() {},
  tryWait: () => true,
  waited() {},
  overflow: () => new Error('connections of health checks are not limited'),
};

export const failed = (failure: FailureType, detail: string, retriable = false): CheckResult => ({
  passed: false,
  failure,
  retriable,
  detail,
});

export const PASSED: CheckResult = { passed: true, degraded: false };
export const DEGRADED: CheckResult = { passed: true, degraded: true };
