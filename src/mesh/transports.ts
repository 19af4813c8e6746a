import type { ClientEnv } from '../client/env.js';
import { http1Transport } from '../client/transport/http1/transport.js';
import { http2Transport } from '../client/transport/http2/transport.js';
import type { Filter } from '../core/service.js';

/** The two ways to an endpoint. */
export const transports: ClientEnv['transports'] = { http1: http1Transport, http2: http2Transport };

/** HTTP/1.1 runs on undici, which an application's instrumentation may watch: `filter` keeps it from a second span per attempt. */
export function suppressing({ http1, http2 }: ClientEnv['transports'], filter: Filter): ClientEnv['transports'] {
  return {
    http1: (options) => {
      const transport = http1(options);
      return {
        call: filter(transport.call),
        get connections() {
          return transport.connections;
        },
        close: (force) => transport.close(force),
      };
    },
    http2,
  };
}
