import { collect } from '../../../src/core/body.js';
import { UnderWay } from '../../../src/client/endpoints/under-way.js';
import { CancelledError, MeshError } from '../../../src/core/errors.js';
import { type Logger, silentLogger } from '../../../src/core/log.js';
import { type MeshEvent, noMeter } from '../../../src/core/meter.js';
import type { FallbackConfig } from '../../../src/core/model/fallback.js';
import type { Reply } from '../../../src/core/reply.js';
import { type Filter, type Service, stack } from '../../../src/core/service.js';
import { createFallback, type FallbackEnv, fallingBack } from '../../../src/resilience/fallback/fallback.js';
import type { FallbackFunction } from '../../../src/core/fallback.js';
import { ReplayBody } from '../../../src/resilience/retry/replay.js';
import { FakeClock } from '../../support/fake-clock.js';

/** A destination called `reviews`, which answers as `next` does, with the given fallbacks around it. */
export function withFallbacks(
  kinds: readonly FallbackConfig[],
  next: Service,
  more: { fallbacks?: Record<string, FallbackFunction>; clusters?: Record<string, Service> } = {},
) {
  const clock = new FakeClock();
  const events: MeshEvent[] = [];
  const warnings: string[] = [];
  /** Why functions have no answer. */
  const complaints: unknown[] = [];
  const logger: Logger = {
    ...silentLogger,
    warn: (message, fields) => {
      warnings.push(message);
      complaints.push(fields?.['error']);
    },
  };
  const underWay = new UnderWay();
  const env: FallbackEnv = {
    clock,
    meter: { ...noMeter, event: (event) => void events.push(event) },
    cluster: 'reviews',
    use: (name) => {
      const service = more.clusters?.[name];
      return service && { statName: name, service };
    },
    hold: (call) => underWay.hold(call),
    replay: (body) => new ReplayBody(body),
  };
  const fallback = createFallback(kinds, { clock, logger, fallbacks: more.fallbacks });
  const service = stack([fallingBack(fallback, env) as Filter], next);
  return { service, clock, events, warnings, complaints, underWay };
}

export const textOf = async ({ body }: Reply): Promise<string> =>
  Buffer.from(await collect(body, 1_000_000, () => new CancelledError())).toString();

export class Refused extends MeshError {
  readonly code = 'CONNECT_FAILED';
  readonly origin = 'network';
  readonly reached = 'no';
  readonly flag = 'UF';
  readonly grpcStatus = 14;
  readonly httpStatus = 503;
}

export class Lost extends MeshError {
  readonly code = 'CONNECTION_LOST';
  readonly origin = 'network';
  readonly reached = 'maybe';
  readonly flag = 'UC';
  readonly grpcStatus = 14;
  readonly httpStatus = 503;
}

export const STATIC: Extract<FallbackConfig, { kind: 'static' }> = {
  kind: 'static',
  status: 200,
  headers: [
    { name: 'Content-Type', value: 'application/json' },
    { name: 'x-a', value: '1' },
    { name: 'x-a', value: '2' },
  ],
  body: Buffer.from('[]'),
  grpcStatus: 0,
};

export const STALE: Extract<FallbackConfig, { kind: 'stale' }> = {
  kind: 'stale',
  maxAgeMs: 60_000,
  maxEntries: 3,
  maxEntryBytes: 1_000,
};
