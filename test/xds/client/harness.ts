import { noMeter, type MeshEvent } from '../../../src/core/meter.js';
import { seededRandom } from '../../../src/core/random.js';
import type { Steps } from '../../../src/core/steps.js';
import { silentLogger } from '../../../src/core/log.js';
import {
  CLUSTER,
  ENDPOINT,
  LISTENER,
  type Resource,
  type ResourceType,
  type ResourceWatcher,
  ROUTE,
} from '../../../src/core/resources.js';
import { type Bootstrap, bootstrapFor, type ServerFeatures, type XdsServer } from '../../../src/xds/bootstrap/index.js';
import { XdsClient, type XdsClientOptions } from '../../../src/xds/client/index.js';
import { loadCodec, type RawAny } from '../../../src/xds/wire/index.js';
import { FakeClock, settle } from '../../support/fake-clock.js';

export const codec = await loadCodec();
const bootstrap = bootstrapFor('127.0.0.1:1', { service: 'shop', nodeId: 'node-1', random: seededRandom(1) });

export const NO_FEATURES: ServerFeatures = {
  failOnDataErrors: false,
  resourceTimerIsTransientError: false,
  trusted: false,
};

/** The decoder of these tests: hands the resource on, and refuses one that says so in its stat name. */
// biome-ignore lint/correctness/useYield: it has one step
export function* decode(resource: Resource): Steps<unknown> {
  if (resource['alt_stat_name'] === 'bad' || resource['stat_prefix'] === 'bad') throw new Error('stat name is bad');
  return resource;
}

export interface Harness {
  readonly client: XdsClient;
  readonly clock: FakeClock;
  readonly events: MeshEvent[];
}

/** A server of the bootstrap, as it is when nothing else is said. */
export const serverAt = (uri: string, server: Partial<XdsServer> = {}): XdsServer => ({
  ...bootstrap.servers[0],
  uri,
  ...server,
});

/** A client of one server. */
export const start = (
  uri: string,
  server: Partial<XdsServer> = {},
  options: Partial<XdsClientOptions> & { readonly node?: Resource } = {},
): Harness => startWith({ servers: [serverAt(uri, server)], ...(options.node && { node: options.node }) }, options);

/** A client with this bootstrap. */
export function startWith(given: Partial<Bootstrap>, options: Partial<XdsClientOptions> = {}): Harness {
  const clock = new FakeClock();
  const events: MeshEvent[] = [];
  const client = new XdsClient({
    bootstrap: { ...bootstrap, ...given },
    decoders: { [LISTENER]: decode, [ROUTE]: decode, [CLUSTER]: decode, [ENDPOINT]: decode },
    scope: '#test',
    clock,
    // In the middle of the jitter: waits are exactly what the rule says.
    random: { next: () => 0.5, int: () => 0 },
    logger: silentLogger,
    meter: { ...noMeter, event: (event) => events.push(event) },
    ...options,
  });
  return { client, clock, events };
}

/** Writes down what it is told. */
export class Recorder implements ResourceWatcher {
  readonly told: string[] = [];
  readonly values: unknown[] = [];
  readonly errors: Error[] = [];

  changed(resource: unknown): void {
    this.told.push('changed');
    this.values.push(resource);
  }
  failed(error: Error, reason: string): void {
    this.told.push(`failed: ${reason}`);
    this.errors.push(error);
  }
  ambient(error: Error): void {
    this.told.push('ambient');
    this.errors.push(error);
  }
}

export function packed(type: ResourceType, resource: Resource): RawAny {
  return { type_url: type, value: codec.encodeResource(type, resource) };
}

/** Turns the loop until it is so. Bounded by the test's own timeout. */
export async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await settle();
}
