import type { Clock } from '../core/clock.js';
import type { Deadlines } from '../core/deadlines.js';
import type { LoadRecorder } from '../core/load-reports.js';
import type { Logger } from '../core/log.js';
import type { Meter, Tracer } from '../core/meter.js';
import type { Locality } from '../core/model/endpoint.js';
import type { Random } from '../core/random.js';
import type { TlsFactory } from '../core/tls.js';
import type { TransportFactory } from '../core/transport.js';
import type { FallbackFunction } from '../core/fallback.js';
import type { LimitedEnv } from '../resilience/ratelimit/filter.js';
import type { Hash64 } from '../routing/hash/hash.js';
import type { Source } from '../routing/request.js';

/** What the request path is given from outside: one per mesh. */
export interface ClientEnv {
  readonly clock: Clock;
  readonly random: Random;
  readonly deadlines: Deadlines;
  /** Milliseconds that a request being served keeps of its time from calls made for it. Undefined: a share of it (resilience/deadline/reserve.ts). */
  readonly reserveMs?: number | undefined;
  readonly logger: Logger;
  readonly meter: Meter;
  readonly tracer: Tracer | undefined;
  /** Undefined: nobody asks for load reports. */
  readonly loads?: LoadRecorder | undefined;
  /** XXH64; there before a configuration whose routes or balancers hash is used. Without it hash policies say nothing. */
  readonly hash64?: Hash64 | undefined;
  /** Who this process is, for routes that ask for the caller's labels or identity. Undefined: nobody knows, and such routes match no call. */
  readonly source?: Source | undefined;
  /** Where this process runs, for balancing by zones. Undefined: nobody knows, and all zones are alike. */
  readonly locality?: Locality | undefined;
  /** How many instances of this process's own service run in each locality, for the same; `LocalZones.counts`. */
  readonly localZones?: (() => ReadonlyMap<string, number> | undefined) | undefined;
  /** Which of how many instances of this service it is, for deterministic aperture. */
  readonly peer?: { readonly index: number; readonly count: number } | undefined;
  /** The application's own fallbacks, by name. */
  readonly fallbacks?: Readonly<Record<string, FallbackFunction>> | undefined;
  /** Counts of limits. Undefined: limits of routes are not kept. */
  readonly limits?: LimitedEnv | undefined;
  readonly tls: TlsFactory;
  readonly transports: { readonly http1: TransportFactory; readonly http2: TransportFactory };
}
