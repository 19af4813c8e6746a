import { Server, ServerCredentials, type ServerWritableStream, status as Status } from '@grpc/grpc-js';
import { fromJSON } from '@grpc/proto-loader';
import type { GrpcObject, ServiceClientConstructor } from '@grpc/grpc-js';
import { loadPackageDefinition } from '@grpc/grpc-js';
import { http1Transport } from '../../src/client/transport/http1/transport.js';
import { http2Transport } from '../../src/client/transport/http2/transport.js';
import { EndpointHealth } from '../../src/client/endpoints/health.js';
import type { HealthCheckEnv } from '../../src/client/health/health-checker.js';
import type { MeshEvent } from '../../src/core/meter.js';
import type { HealthCheckConfig } from '../../src/core/model/health-check.js';
import type { EndpointConfig } from '../../src/core/model/endpoint.js';
import { seededRandom } from '../../src/core/random.js';
import { anEndpoint } from './endpoints.js';
import { FakeClock } from './fake-clock.js';
import { recordingGauges, recordingLogger } from './outliers.js';
import { testTls } from './tls.js';

/** Every 10 s, 1 s long, three failures or two passes in a row. */
export const checkConfig = (
  check: HealthCheckConfig['check'],
  more: Partial<HealthCheckConfig> = {},
): HealthCheckConfig => ({
  timeoutMs: 1_000,
  intervalMs: 10_000,
  initialJitterMs: 0,
  intervalJitterMs: 0,
  intervalJitterShare: 0,
  noTrafficIntervalMs: undefined,
  unhealthyIntervalMs: undefined,
  unhealthyEdgeIntervalMs: undefined,
  healthyEdgeIntervalMs: undefined,
  unhealthyThreshold: 3,
  healthyThreshold: 2,
  port: undefined,
  reuseConnection: true,
  check,
  ...more,
});

export const httpCheck = (more: Partial<Extract<HealthCheckConfig['check'], { kind: 'http' }>> = {}) =>
  ({
    kind: 'http',
    host: undefined,
    path: '/healthz',
    method: 'GET',
    http2: false,
    expected: [{ start: 200, end: 201 }],
    requestHeaders: undefined,
    ...more,
  }) as const;

/** An endpoint whose health is written down as it changes. */
export class Checked {
  config: EndpointConfig;
  readonly health: EndpointHealth;
  constructor(at: string | number, clock: FakeClock, more: Partial<EndpointConfig> = {}) {
    this.config = anEndpoint(typeof at === 'number' ? `127.0.0.1:${at}` : at, more);
    this.health = new EndpointHealth('unknown', clock.now(), {});
  }
  get key(): string {
    return this.config.key;
  }
  get verdict(): string {
    return this.health.verdict;
  }
}

/** Surroundings of checks: time stands still, sockets are real. */
export function checkSurroundings(seed = 1) {
  const clock = new FakeClock();
  const events: MeshEvent[] = [];
  const gauges = recordingGauges();
  const { logger, lines } = recordingLogger();
  const passed: string[] = [];
  const traffic = { seen: true };
  const env: HealthCheckEnv = {
    clock,
    random: seededRandom(seed),
    logger,
    meter: { event: (event) => void events.push(event), gauge: gauges.gauge },
    transports: { http1: http1Transport, http2: http2Transport },
    tls: testTls({ clock }),
    hadTraffic: () => traffic.seen,
    passed: (key) => void passed.push(key),
  };
  return { clock, events, gauges, lines, passed, traffic, env };
}

const definition = fromJSON(
  {
    nested: {
      grpc: {
        nested: {
          health: {
            nested: {
              v1: {
                nested: {
                  HealthCheckRequest: { fields: { service: { type: 'string', id: 1 } } },
                  HealthCheckResponse: {
                    fields: { status: { type: 'ServingStatus', id: 1 } },
                    nested: {
                      ServingStatus: { values: { UNKNOWN: 0, SERVING: 1, NOT_SERVING: 2, SERVICE_UNKNOWN: 3 } },
                    },
                  },
                  Health: {
                    methods: {
                      Check: { requestType: 'HealthCheckRequest', responseType: 'HealthCheckResponse', comment: '' },
                      Watch: {
                        requestType: 'HealthCheckRequest',
                        responseType: 'HealthCheckResponse',
                        responseStream: true,
                        comment: '',
                      },
                    },
                  },
                },
              },
            },
          },
        },
      },
    },
  },
  { enums: String, defaults: true },
);

const pkg = loadPackageDefinition(definition) as unknown as { grpc: { health: { v1: GrpcObject } } };
const { service } = pkg.grpc.health.v1['Health'] as ServiceClientConstructor;

type Watching = ServerWritableStream<{ service: string }, { status: string }>;

export interface HealthServer {
  readonly port: number;
  /** What services say; one that is not there is NOT_FOUND, or SERVICE_UNKNOWN to those who watch. */
  readonly statuses: Map<string, string>;
  /** Names of services asked for so far. */
  readonly asked: string[];
  readonly watching: Set<Watching>;
  /** Tells those who watch. */
  set(name: string, status: string): void;
  /** GOAWAY; resolves when all calls have ended. */
  shutdown(): Promise<void>;
  close(): void;
}

/** The health service of a grpc-js server; `methods` leaves some out. */
export async function healthServer(
  methods: readonly ('Check' | 'Watch')[] = ['Check', 'Watch'],
  onWatch: ((call: Watching) => void) | undefined = undefined,
  at = 0,
  /** Adds what else it serves. */
  also: (server: Server) => void = () => {},
): Promise<HealthServer> {
  const server = new Server();
  const statuses = new Map([['', 'SERVING']]);
  const asked: string[] = [];
  const watching = new Set<Watching>();
  const handlers = {
    Check(
      call: { request: { service: string } },
      reply: (error: { code: number; details: string } | null, value?: { status: string }) => void,
    ) {
      asked.push(call.request.service);
      const status = statuses.get(call.request.service);
      if (status === undefined) reply({ code: Status.NOT_FOUND, details: 'unknown service' });
      else reply(null, { status });
    },
    Watch(call: Watching) {
      asked.push(call.request.service);
      if (onWatch !== undefined) return onWatch(call);
      watching.add(call);
      call.on('cancelled', () => watching.delete(call));
      call.write({ status: statuses.get(call.request.service) ?? 'SERVICE_UNKNOWN' });
    },
  };
  server.addService(service, Object.fromEntries(methods.map((name) => [name, handlers[name]])) as never);
  also(server);
  const port = await new Promise<number>((resolve, reject) =>
    server.bindAsync(`127.0.0.1:${at}`, ServerCredentials.createInsecure(), (error, bound) =>
      error === null ? resolve(bound) : reject(error),
    ),
  );
  return {
    port,
    statuses,
    asked,
    watching,
    shutdown: () => new Promise((resolve) => server.tryShutdown(() => resolve())),
    set(name, status) {
      statuses.set(name, status);
      for (const call of watching) if (call.request.service === name) call.write({ status });
    },
    close: () => server.forceShutdown(),
  };
}
