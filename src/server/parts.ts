import type { Clock } from '../core/clock.js';
import type { Logger } from '../core/log.js';
import type { Random } from '../core/random.js';
import type { WatchServer } from '../core/server-config.js';
import type { LimitEnv } from '../resilience/ratelimit/env.js';

/** What a mesh has for the servers of its process. */
export interface ServerParts {
  /** The service that this process is, as others call it; undefined: nobody has said. */
  readonly service: string | undefined;
  readonly watch: WatchServer;
  /** Counts that clients and servers of the process share. */
  readonly limits: LimitEnv;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  /** Runs `end` when the mesh is closed; at once, where it is already. */
  readonly onClose: (end: () => void) => void;
}
