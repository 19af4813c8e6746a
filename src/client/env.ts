import type { Clock } from '../core/clock.js';
import type { Deadlines } from '../core/deadlines.js';
import type { LoadRecorder } from '../core/load-reports.js';
import type { Logger } from '../core/log.js';
import type { Meter, Tracer } from '../core/meter.js';
import type { Random } from '../core/random.js';
import type { TransportFactory } from '../core/transport.js';

/** What the request path is given from outside: one per mesh. */
export interface ClientEnv {
  readonly clock: Clock;
  readonly random: Random;
  readonly deadlines: Deadlines;
  readonly logger: Logger;
  readonly meter: Meter;
  readonly tracer: Tracer | undefined;
  /** Undefined: nobody asks for load reports. */
  readonly loads?: LoadRecorder | undefined;
  readonly transports: { readonly http1: TransportFactory; readonly http2: TransportFactory };
}
