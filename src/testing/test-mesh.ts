import { type Clock, systemClock } from '../core/clock.js';
import type { Resolver } from '../core/dns.js';
import { type Logger, silentLogger } from '../core/log.js';
import { type Random, seededRandom } from '../core/random.js';
import { createMesh, type Mesh } from '../mesh/mesh.js';
import { createObservability } from '../observability/observability.js';
import type { FallbackFunction } from '../core/fallback.js';
import { type MemoryEndpoint, memoryTransport, type TestHandler, type TestRequest } from './memory-transport.js';
import { testConfig } from './test-config.js';

export interface TestMeshOptions {
  /** What answers, by service: a handler is one endpoint, a list one endpoint each. */
  readonly services: Readonly<Record<string, TestHandler | readonly TestHandler[]>>;
  /** Routes and policies as YAML: HTTPRoute, GRPCRoute, TrafficPolicy, … for the services above. */
  readonly config?: string;
  /** A `FakeClock` to hold time still. Default: the system's. */
  readonly clock?: Clock;
  /** Default: seeded with 1, so that a test that fails fails again. */
  readonly random?: Random;
  /** Default: silent. */
  readonly logger?: Logger;
  /** As `fallbacks` of `meshClient`. */
  readonly fallbacks?: Readonly<Record<string, FallbackFunction>>;
}

export interface TestMesh extends Mesh {
  /** Every request that reached an endpoint, attempts one by one. */
  readonly requests: readonly TestRequest[];
}

/** Hosts that the test did not name have no address. */
const noAddress: Resolver = (host) => Promise.reject(new Error(`testMesh has no service "${host}"`));

/**
 * A mesh whose services are functions in this process: the real routing, balancing, retries, deadlines and limits, without a socket.
 *
 * ```ts
 * const mesh = testMesh({ services: { reviews: [() => new Response(null, { status: 503 }), () => Response.json([])] } });
 * const response = await mesh.fetch('http://reviews/7'); // the other endpoint answered
 * mesh.requests.length; // 2
 * ```
 *
 * Throws when the configuration is refused.
 */
export function testMesh(options: TestMeshOptions): TestMesh {
  const { clock = systemClock, random = seededRandom(1), logger = silentLogger } = options;
  const endpoints = new Map<string, MemoryEndpoint>();
  const services: Record<string, string[]> = {};
  Object.entries(options.services).forEach(([service, given], number) => {
    const handlers = typeof given === 'function' ? [given] : given;
    services[service] = handlers.map((handler, index) => {
      const key = address(number, index);
      endpoints.set(key, { service, index, handler });
      return key;
    });
  });
  const requests: TestRequest[] = [];
  const transport = memoryTransport(
    (key) => endpoints.get(key) as MemoryEndpoint,
    (request) => requests.push(request),
  );
  const mesh = createMesh({
    source: testConfig(services, options.config, { resolve: noAddress, clock, random, logger }),
    unknownHosts: { policy: () => 'deny', resolve: noAddress },
    env: {
      clock,
      random,
      logger,
      fallbacks: options.fallbacks,
      transports: { http1: transport, http2: transport },
    },
    observability: createObservability({ service: 'test', clock, random, logger }),
  });
  return Object.assign(mesh, { requests });
}

/** Addresses for documentation (RFC 5737): should one ever be dialled, nobody is there. The port tells services apart. */
const address = (service: number, endpoint: number): string =>
  `192.0.2.${1 + (endpoint % 254)}:${1_000 + service + 1_000 * Math.floor(endpoint / 254)}`;
