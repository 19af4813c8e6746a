import type { Logger } from '../../../src/core/log.js';
import { seededRandom } from '../../../src/core/random.js';
import { bootstrapFor, serverKey, type XdsServer } from '../../../src/xds/bootstrap/index.js';
import { grpcTransport } from '../../../src/xds/client/grpc-transport.js';
import { BootstrapConnections } from '../../../src/xds/client/server-connections.js';
import type { TransportFactory } from '../../../src/xds/client/transport.js';
import { LoadReporter } from '../../../src/xds/lrs/index.js';
import { FakeClock, settle } from '../../support/fake-clock.js';

export interface Harness {
  readonly reporter: LoadReporter;
  readonly clock: FakeClock;
  /** What was logged: level and message. */
  readonly logged: string[];
  /** What clusters name to be reported to the server. */
  readonly config: { readonly server: string; readonly metrics: readonly string[] };
}

/** A reporter for one server. Waits have no jitter: they are exactly what the rule says. */
export function start(uri: string, transport?: TransportFactory): Harness {
  const base = bootstrapFor(uri, { service: 'shop', nodeId: 'node-1', random: seededRandom(1) });
  const server: XdsServer = base.servers[0];
  const clock = new FakeClock();
  const logged: string[] = [];
  const at =
    (level: string) =>
    (message: string): void =>
      void logged.push(`${level}: ${message}`);
  const logger: Logger = { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') };
  const random = { next: () => 0.5, int: () => 0 };
  const reporter = new LoadReporter({
    connections: new BootstrapConnections(base, transport ?? grpcTransport({ clock, random, logger })),
    bootstrap: base,
    clock,
    random,
    logger,
  });
  return { reporter, clock, logged, config: { server: serverKey(server), metrics: [] } };
}

/** Turns the loop until it is so. Bounded by the test's own timeout. */
export async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await settle();
}
