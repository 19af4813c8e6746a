import { OutlierDetection } from '../../src/client/outlier/outlier-detection.js';
import type { AttemptMonitor } from '../../src/client/endpoints/endpoint.js';
import { EndpointHealth } from '../../src/client/endpoints/health.js';
import type { Logger } from '../../src/core/log.js';
import type { MeshEvent } from '../../src/core/meter.js';
import type { OutlierConfig } from '../../src/core/model/outlier.js';
import { seededRandom } from '../../src/core/random.js';
import { FakeClock } from './fake-clock.js';

/** Nothing ejects, with Envoy's numbers for the rest. */
export const outlierConfig = (more: Partial<OutlierConfig> = {}): OutlierConfig => ({
  intervalMs: 10_000,
  baseEjectionMs: 30_000,
  maxEjectionMs: 300_000,
  maxEjectionJitterMs: 0,
  maxEjection: 1,
  consecutive5xx: undefined,
  consecutiveGatewayFailure: undefined,
  consecutiveLocalOriginFailure: undefined,
  splitLocalOrigin: false,
  successRate: undefined,
  localOriginSuccessRate: undefined,
  failurePercentage: undefined,
  localOriginFailurePercentage: undefined,
  unejectOnHealthCheck: true,
  alwaysEjectOne: true,
  ...more,
});

export class Judged {
  readonly health: EndpointHealth;
  monitor: AttemptMonitor | undefined;
  constructor(
    readonly key: string,
    private readonly clock: FakeClock,
  ) {
    this.health = new EndpointHealth('healthy', clock.now(), {});
  }

  /** So many attempts with this outcome: an HTTP status, or none because of the connection. */
  attempts(count: number, result: number | 'refused'): void {
    for (let i = 0; i < count; i++) {
      const now = this.clock.now();
      if (result === 'refused') this.monitor?.finished('failure', undefined, true, now);
      else this.monitor?.finished(result < 500 ? 'success' : 'failure', result, false, now);
    }
  }

  get ejected(): boolean {
    return this.health.ejected;
  }
}

export interface LogLine {
  readonly level: string;
  readonly message: string;
  readonly fields: Readonly<Record<string, unknown>>;
}

export function recordingLogger(): { logger: Logger; lines: LogLine[] } {
  const lines: LogLine[] = [];
  const at =
    (level: string) =>
    (message: string, fields: Readonly<Record<string, unknown>> = {}): void =>
      void lines.push({ level, message, fields });
  return { logger: { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') }, lines };
}

/** Gauges by name and labels, as they are offered now. */
export function recordingGauges() {
  const offered = new Map<string, () => number>();
  const nameOf = (name: string, labels: Readonly<Record<string, string>>): string =>
    [name, ...Object.values(labels)].join(' ');
  return {
    gauge(name: string, labels: Readonly<Record<string, string>>, read: () => number): () => void {
      const key = nameOf(name, labels);
      if (offered.has(key)) throw new Error(`gauge ${key} is offered twice`);
      offered.set(key, read);
      return () => void offered.delete(key);
    },
    read: (): Record<string, number> => Object.fromEntries([...offered].map(([key, read]) => [key, read()])),
    get size(): number {
      return offered.size;
    },
  };
}

/** A detection over so many endpoints, named from `a` on. */
export function detectionOver(count: number, config: OutlierConfig, seed = 1) {
  const clock = new FakeClock();
  const events: MeshEvent[] = [];
  const gauges = recordingGauges();
  const { logger, lines } = recordingLogger();
  const env = {
    clock,
    random: seededRandom(seed),
    logger,
    meter: { event: (event: MeshEvent) => void events.push(event), gauge: gauges.gauge },
  };
  const detection = new OutlierDetection(config, { name: 'reviews' }, env);
  const endpoints = Array.from({ length: count }, (_, i) => new Judged(String.fromCharCode(97 + i), clock));
  detection.update(endpoints);
  const ejected = (): string => endpoints.flatMap(({ key, ejected }) => (ejected ? [key] : [])).join('');
  return { clock, detection, endpoints, events, gauges, lines, ejected };
}
