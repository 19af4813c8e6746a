import type { Clock } from '../../core/clock.js';
import type { LimitRequest, UseSink } from '../../core/limits.js';
import type { Meter } from '../../core/meter.js';
import type { RouteMatch } from '../../core/model/match.js';
import type { LimitStores } from './stores.js';

/** What limits ask of a request's path, query and headers; `src/routing` knows how. */
export interface LimitMatching {
  /** Whether a request matches any of these. Compiled once, asked for each request. */
  any(matches: readonly RouteMatch[]): (request: LimitRequest) => boolean;
  /** The first value of a query parameter as it is written; undefined when there is none. */
  queryValue(path: string, name: string): string | undefined;
}

/** What limits are given from outside: one per mesh. */
export interface LimitEnv {
  readonly clock: Clock;
  readonly meter: Pick<Meter, 'event'>;
  readonly stores: LimitStores;
  readonly matching: LimitMatching;
  /** The service that this process is, for keys by `source`. Undefined: nobody knows. */
  readonly service?: string | undefined;
  /** Takes down the uses of rules that are metered. Absent: nobody does. */
  readonly uses?: UseSink | undefined;
}
