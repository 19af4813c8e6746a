import type { Codec } from '../wire/codec.js';
import type {
  DeltaDiscoveryResponse,
  DiscoveryResponse,
  RawAny,
  ResourceError,
  WrappedResource,
} from '../wire/messages.js';

/** One resource of a response, unwrapped as far as its name. */
export interface DeliveredResource {
  /** As the server calls it; '' when it has not said. */
  readonly name: string;
  /** Other names for it; delta only. */
  readonly aliases: readonly string[];
  /** Its own; '' when it has none. */
  readonly version: string;
  /** Undefined: a heartbeat. */
  readonly body: RawAny | undefined;
  /** Milliseconds until it expires unless it is renewed; undefined: it does not. */
  readonly ttlMs: number | undefined;
}

/** A response of either protocol. */
export interface Delivery {
  readonly type: string;
  /** Of the response; '' when it has none. */
  readonly version: string;
  readonly nonce: string;
  readonly count: number;
  /** Reads one of them. Throws when its wrapper is malformed. */
  resource(index: number): DeliveredResource;
  /** Names that the server says are gone, or never were. */
  readonly removed: readonly string[];
  readonly errors: readonly ResourceError[];
}

const WRAPPER = 'type.googleapis.com/envoy.service.discovery.v3.Resource';

export function sotwDelivery(codec: Codec, response: DiscoveryResponse): Delivery {
  const { resources = [] } = response;
  return {
    type: response.type_url ?? '',
    version: response.version_info ?? '',
    nonce: response.nonce ?? '',
    count: resources.length,
    resource: (index) => fromAny(codec, resources[index] as RawAny),
    removed: [],
    errors: response.resource_errors ?? [],
  };
}

export function deltaDelivery(response: DeltaDiscoveryResponse): Delivery {
  const { resources = [], removed_resources: removed = [], removed_resource_names: named = [] } = response;
  return {
    type: response.type_url ?? '',
    version: response.system_version_info ?? '',
    nonce: response.nonce ?? '',
    count: resources.length,
    resource: (index) => fromWrapper(resources[index] as WrappedResource),
    removed: named.length === 0 ? removed : [...removed, ...named.map(({ name }) => name ?? '')],
    errors: response.resource_errors ?? [],
  };
}

/** "In order to use TTL with SotW xDS, the relevant resources must be wrapped in a Resource" - xds_protocol */
function fromAny(codec: Codec, packed: RawAny): DeliveredResource {
  if (packed.type_url === WRAPPER) {
    return fromWrapper(codec.decodeMessage(WRAPPER, packed.value, { rawAny: true }) as WrappedResource);
  }
  return { name: '', aliases: [], version: '', body: packed, ttlMs: undefined };
}

function fromWrapper(wrapper: WrappedResource): DeliveredResource {
  return {
    name: wrapper.name || (wrapper.resource_name?.name ?? ''),
    aliases: wrapper.aliases ?? [],
    version: wrapper.version ?? '',
    body: wrapper.resource,
    ttlMs: milliseconds(wrapper.ttl),
  };
}

/** Envoy takes a TTL of zero for none; a negative one has no meaning either. */
function milliseconds(ttl: WrappedResource['ttl']): number | undefined {
  if (ttl === undefined) return undefined;
  const ms = (ttl.seconds ?? 0) * 1_000 + (ttl.nanos ?? 0) / 1e6;
  return ms > 0 ? ms : undefined;
}
