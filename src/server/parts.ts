import type { Clock } from '../core/clock.js';
import type { Logger } from '../core/log.js';
import type { Random } from '../core/random.js';
import type { WatchServer } from '../core/server-config.js';
import type { TlsFactory } from '../core/tls.js';
import type { LimitEnv } from '../resilience/ratelimit/env.js';
import type { Outbound } from '../core/outbound.js';
import type { Address } from '../core/model/endpoint.js';
import type { Service } from '../core/service.js';

/** What a mesh has for the servers of its process. */
export interface ServerParts {
  /** The service that this process is, as others call it; undefined: nobody has said. */
  readonly service: string | undefined;
  readonly watch: WatchServer;
  /** Counts that clients and servers of the process share. */
  readonly limits: LimitEnv;
  /** Makes TLS of connections that come in. */
  readonly tls: TlsFactory;
  readonly clock: Clock;
  readonly random: Random;
  /** How others are asked on behalf of their policies. Absent: nobody is. */
  readonly outbound?: Outbound | undefined;
  /** A service whose calls go to this address in plain text, whatever they name, for a proxy in front of a program. `protocol`: of what is no gRPC. Absent: there is no such way. */
  readonly to?: ((address: Address & { readonly protocol: 'http1' | 'http2' }) => Service) | undefined;
  readonly logger: Logger;
  /** Runs `end` when the mesh is closed; at once, where it is already. */
  readonly onClose: (end: () => void) => void;
}
