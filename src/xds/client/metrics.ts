import type { Meter } from '../../core/meter.js';
import { type DumpedResource, RESOURCE_TYPES, type ResourceType } from '../../core/resources.js';
import type { CacheEntry } from './cache-entry.js';
import type { Unpacked } from './unpack.js';

/** What is measured of one server for one client, by its scope (`target`): gRFC A78, "XdsClient". Sums are read as gauges, since a Meter knows no other counters. */
export class ServerMetrics {
  readonly #stops: (() => void)[];
  readonly #valid = new Map<ResourceType, number>();
  readonly #invalid = new Map<ResourceType, number>();
  #failures = 0;

  constructor(meter: Pick<Meter, 'gauge'>, target: string, uri: string, isHealthy: () => boolean) {
    const server = { 'grpc.target': target, 'grpc.xds.server': uri };
    this.#stops = [
      meter.gauge('grpc.xds_client.connected', server, () => (isHealthy() ? 1 : 0)),
      meter.gauge('grpc.xds_client.server_failure', server, () => this.#failures),
    ];
    for (const type of RESOURCE_TYPES) {
      const labels = { ...server, 'grpc.xds.resource_type': typeName(type) };
      this.#stops.push(
        meter.gauge('grpc.xds_client.resource_updates_valid', labels, () => this.#valid.get(type) ?? 0),
        meter.gauge('grpc.xds_client.resource_updates_invalid', labels, () => this.#invalid.get(type) ?? 0),
      );
    }
  }

  /** The server was healthy and is not any more. */
  failed(): void {
    this.#failures++;
  }

  /** "The counter will be incremented even for resources that have not changed." - A78 */
  received(type: ResourceType, { good, bad, nameless }: Unpacked): void {
    this.#valid.set(type, (this.#valid.get(type) ?? 0) + good.size);
    this.#invalid.set(type, (this.#invalid.get(type) ?? 0) + bad.size + nameless.length);
  }

  close(): void {
    for (const stop of this.#stops) stop();
  }
}

/** `grpc.xds.cache_state`: A78's, and what A88 adds. */
const CACHE_STATES = [
  'requested',
  'does_not_exist',
  'does_not_exist_but_cached',
  'acked',
  'nacked',
  'nacked_but_cached',
  'received_error',
  'received_error_but_cached',
  'timeout',
] as const;
type CacheState = (typeof CACHE_STATES)[number];

/** Offers `grpc.xds_client.resources` for the resources of one authority, until the result is called. States without any are left out. */
export function offerResources(
  meter: Pick<Meter, 'gauge'>,
  target: string,
  authority: string | undefined,
  entries: ReadonlySet<CacheEntry>,
): () => void {
  const stops = RESOURCE_TYPES.flatMap((type) =>
    CACHE_STATES.map((state) => {
      const labels = {
        'grpc.target': target,
        // "The value will be "#old" for old-style non-xdstp resource names." - A78
        'grpc.xds.authority': authority ?? '#old',
        'grpc.xds.cache_state': state,
        'grpc.xds.resource_type': typeName(type),
      };
      return meter.gauge('grpc.xds_client.resources', labels, () => count(entries, type, state) || Number.NaN);
    }),
  );
  return () => {
    for (const stop of stops) stop();
  };
}

function count(entries: ReadonlySet<CacheEntry>, type: ResourceType, state: CacheState): number {
  let found = 0;
  for (const entry of entries) if (entry.type === type && cacheState(entry) === state) found++;
  return found;
}

const HAVE_CACHED: ReadonlySet<DumpedResource['state']> = new Set(['DOES_NOT_EXIST', 'NACKED', 'RECEIVED_ERROR']);

function cacheState({ state, arrival }: CacheEntry): CacheState {
  const name = state.toLowerCase();
  return (arrival !== undefined && HAVE_CACHED.has(state) ? `${name}_but_cached` : name) as CacheState;
}

const typeName = (typeUrl: string): string => typeUrl.slice(typeUrl.lastIndexOf('/') + 1);
