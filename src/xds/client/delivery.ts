import type { Steps } from '../../core/steps.js';
import type { Codec } from '../wire/codec.js';
import type { RawAny, ResourceError, WrappedResource } from '../wire/messages.js';
import { readAny } from '../wire/outline.js';
import type { Spans } from '../wire/spans.js';

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

/** A response of either protocol. Its resources stay packed until they are asked for. */
export interface Delivery {
  readonly type: string;
  /** Of the response; '' when it has none. */
  readonly version: string;
  readonly nonce: string;
  readonly count: number;
  /** It says what changed; one of the state of the world what there is. */
  readonly isDelta: boolean;
  /** Reads one of them, with pauses. Throws when its wrapper is malformed. */
  resource(index: number): Steps<DeliveredResource>;
  /** Names that the server says are gone, or never were. */
  readonly removed: readonly string[];
  readonly errors: readonly ResourceError[];
}

const DISCOVERY = 'envoy.service.discovery.v3';
const WRAPPER = `type.googleapis.com/${DISCOVERY}.Resource`;

/** Reads the outside of a `DiscoveryResponse`, with pauses. Throws CodecError when the bytes are none. */
export function* sotwDelivery(codec: Codec, bytes: Uint8Array): Steps<Delivery> {
  const response = yield* codec.outline(`${DISCOVERY}.DiscoveryResponse`, bytes);
  const resources = response.list('resources');
  return {
    type: response.text('type_url'),
    version: response.text('version_info'),
    nonce: response.text('nonce'),
    count: resources.count,
    isDelta: false,
    resource: (index) => fromAny(codec, resources.at(index)),
    removed: [],
    errors: yield* messages<ResourceError>(codec, 'ResourceError', response.list('resource_errors')),
  };
}

/** The same of a `DeltaDiscoveryResponse`. */
export function* deltaDelivery(codec: Codec, bytes: Uint8Array): Steps<Delivery> {
  const response = yield* codec.outline(`${DISCOVERY}.DeltaDiscoveryResponse`, bytes);
  const resources = response.list('resources');
  const removed = response.texts('removed_resources');
  const named = yield* messages<{ readonly name?: string }>(
    codec,
    'ResourceName',
    response.list('removed_resource_names'),
  );
  for (const { name = '' } of named) removed.push(name);
  return {
    type: response.text('type_url'),
    version: response.text('system_version_info'),
    nonce: response.text('nonce'),
    count: resources.count,
    isDelta: true,
    resource: (index) => fromWrapper(codec, resources.at(index)),
    removed,
    errors: yield* messages<ResourceError>(codec, 'ResourceError', response.list('resource_errors')),
  };
}

/** Small messages of a list that is part of the response itself. */
function* messages<T>(codec: Codec, type: string, list: Spans): Steps<T[]> {
  const read: T[] = [];
  for (let i = 0; i < list.count; i++) {
    read.push((yield* codec.decodeMessageSteps(`${DISCOVERY}.${type}`, list.at(i))) as T);
    yield;
  }
  return read;
}

/** "In order to use TTL with SotW xDS, the relevant resources must be wrapped in a Resource" - xds_protocol */
function* fromAny(codec: Codec, bytes: Uint8Array): Steps<DeliveredResource> {
  const packed = yield* readAny(bytes);
  if (packed.type_url === WRAPPER) return yield* fromWrapper(codec, packed.value);
  return { name: '', aliases: [], version: '', body: packed, ttlMs: undefined };
}

function* fromWrapper(codec: Codec, bytes: Uint8Array): Steps<DeliveredResource> {
  const wrapper = (yield* codec.decodeMessageSteps(WRAPPER, bytes, { rawAny: true })) as WrappedResource;
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
