import type { Resource, ResourceType } from '../../core/resources.js';
import type { Steps } from '../../core/steps.js';
import type { ResourceOrigin } from '../origin.js';
import type { Codec } from '../wire/codec.js';
import type { RawAny } from '../wire/messages.js';
import type { Arrival } from './cache-entry.js';
import type { DeliveredResource, Delivery } from './delivery.js';
import { canonicalName } from './names.js';

/**
 * Turns a resource into what watchers get; throws an Error to refuse it. Knows what a resource means; this folder does not. `previous` is what
 * it made of the same name before (which is why only the decoder knows its type); what it gives back unchanged is no news to watchers.
 */
export type ResourceDecoder = (
  resource: Resource,
  name: string,
  origin: ResourceOrigin,
  previous?: never,
) => Steps<unknown>;

/** A refused resource that is larger than this is not kept for whoever looks for the mistake. In bytes. */
export const MAX_KEPT_REFUSAL_BYTES = 1_048_576;

export interface GoodResource {
  /** The cached one, when the bytes are the same. */
  readonly value: unknown;
  readonly raw: Uint8Array;
  /** As the server calls it. */
  readonly resourceName: string;
  /** The resource's own, or else the response's. */
  readonly version: string;
  readonly ttlMs: number | undefined;
}

export interface BadResource {
  readonly error: Error;
  readonly version: string;
  /** What was refused; undefined when there is nothing to show, or too much. */
  readonly raw: Uint8Array | undefined;
}

/** A response, resource by resource, by the names that were asked for. Only those are in it. */
export interface Unpacked {
  readonly good: Map<string, GoodResource>;
  readonly bad: Map<string, BadResource>;
  /** What has no name: a resource that cannot be read so far, or says it has none. */
  readonly nameless: string[];
  /** There, but without content: only its time to live is new. */
  readonly heartbeats: Map<string, { readonly version: string; readonly ttlMs: number | undefined }>;
}

export interface UnpackOptions {
  readonly codec: Codec;
  readonly decode: ResourceDecoder;
  readonly type: ResourceType;
  readonly origin: ResourceOrigin;
  /** "The client ignores resources it did not ask for." */
  wanted(name: string): boolean;
  /** What is cached; undefined when nothing is. */
  cached(name: string): Arrival | undefined;
}

/** Reads and decodes what a response carries, with pauses: ten megabytes must not stop the calls that are under way. */
export function* unpack(delivery: Delivery, options: UnpackOptions): Steps<Unpacked> {
  const result: Unpacked = { good: new Map(), bad: new Map(), nameless: [], heartbeats: new Map() };
  const unwanted = new Set<string>();
  for (let i = 0; i < delivery.count; i++) {
    yield* unpackOne(delivery, i, options, result, unwanted);
    yield;
  }
  return result;
}

/** `unwanted`: names of the response that were not asked for. */
function* unpackOne(
  delivery: Delivery,
  index: number,
  options: UnpackOptions,
  result: Unpacked,
  unwanted: Set<string>,
): Steps<void> {
  const { codec, type } = options;
  let resource: DeliveredResource;
  let resourceName: string;
  try {
    resource = yield* delivery.resource(index);
    resourceName = resource.name;
    if (resourceName === '' && resource.body?.type_url === type) {
      resourceName = yield* codec.resourceName(type, resource.body.value);
    }
  } catch (error) {
    withoutName(result, index, (error as Error).message);
    return;
  }
  const { body } = resource;
  if (resourceName === '') {
    const problem =
      body === undefined || body.type_url === type ? 'has no name' : `is a ${body.type_url}, not a ${type}`;
    withoutName(result, index, problem);
    return;
  }
  const version = resource.version || delivery.version;
  const own = canonicalName(type, resourceName);
  if (!options.wanted(own)) {
    if (unwanted.has(own)) result.bad.set(own, { error: new Error(TWICE), version, raw: kept(body) });
    unwanted.add(own);
  }
  // "Both the names and aliases of resources should be checked" - xds_protocol
  const names = new Set<string>();
  for (const given of [resourceName, ...resource.aliases]) {
    yield;
    const name = canonicalName(type, given);
    if (names.has(name)) continue;
    names.add(name);
    if (!options.wanted(name) || result.bad.has(name)) continue;
    if (result.good.delete(name) || result.heartbeats.delete(name)) {
      result.bad.set(name, { error: new Error(TWICE), version, raw: kept(body) });
    } else if (body === undefined) result.heartbeats.set(name, { version, ttlMs: resource.ttlMs });
    else yield* decodeOne(name, { resourceName, version, ttlMs: resource.ttlMs }, body, options, result);
  }
}

/** "Clients should NACK responses that contain multiple instances of the same resource name." - xds_protocol */
const TWICE = 'is in the response twice';

/** From so many on they are counted, and nothing is said of each. */
const MAX_NAMELESS = 1_000;
const MORE_NAMELESS = 'others: have no name';

function withoutName({ nameless }: Unpacked, index: number, problem: string): void {
  nameless.push(nameless.length < MAX_NAMELESS ? `resources[${index}]: ${problem}` : MORE_NAMELESS);
}

function* decodeOne(
  name: string,
  about: Omit<GoodResource, 'value' | 'raw'>,
  body: RawAny,
  options: UnpackOptions,
  result: Unpacked,
): Steps<void> {
  const { codec, type } = options;
  try {
    if (body.type_url !== type) throw new Error(`is a ${body.type_url}, not a ${type}`);
    const cached = options.cached(name);
    if (cached?.server === options.origin.server && Buffer.compare(cached.raw, body.value) === 0) {
      result.good.set(name, { ...about, value: cached.value, raw: cached.raw });
      return;
    }
    const resource = yield* codec.decodeResourceSteps(type, body.value);
    const value = yield* options.decode(resource, about.resourceName, options.origin, cached?.value as never);
    // A copy: a view would keep the whole response in memory.
    result.good.set(name, { ...about, value, raw: new Uint8Array(body.value) });
  } catch (thrown) {
    const error = thrown instanceof Error ? thrown : new Error(String(thrown));
    result.bad.set(name, { error, version: about.version, raw: kept(body) });
  }
}

function kept(body: RawAny | undefined): Uint8Array | undefined {
  return body === undefined || body.value.length > MAX_KEPT_REFUSAL_BYTES ? undefined : new Uint8Array(body.value);
}

/** Longest name and longest reason in a NACK, in characters. */
const MAX_NAME = 300;
const MAX_REASON = 1_000;
/** A NACK of at most so many characters gives a reason for each resource; beyond, it names all of them and gives reasons for the first. */
const MAX_DETAIL = 16_384;
/** Most characters of names in a NACK. It travels in the request, of which servers of gRPC read 4 MiB by default. */
const MAX_NAMES = 262_144;

/** What a NACK says: every bad resource by name (gRFC A46); undefined when there is nothing to refuse. */
export function refusal(unpacked: Unpacked): string | undefined {
  const total = unpacked.bad.size + unpacked.nameless.length;
  if (total === 0) return undefined;
  const reasons = upTo(MAX_DETAIL, reasonsOf(unpacked));
  if (reasons.length === total) return reasons.join('; ');
  const names = upTo(MAX_NAMES, namesOf(unpacked));
  const more = total - names.length;
  return `${total} resources are refused: ${names.join(', ')}${more > 0 ? ` and ${more} more` : ''}. ${reasons.join('; ')}; …`;
}

function* reasonsOf({ bad, nameless }: Unpacked): Generator<string, void, undefined> {
  for (const problem of nameless) yield clipped(problem, MAX_REASON);
  for (const [name, { error }] of bad) yield `${quoted(name)}: ${clipped(error.message, MAX_REASON)}`;
}

function* namesOf({ bad, nameless }: Unpacked): Generator<string, void, undefined> {
  for (const name of bad.keys()) yield quoted(name);
  for (const problem of nameless) yield problem.slice(0, problem.indexOf(':'));
}

/** The first ones, as many as have so many characters together. */
function upTo(length: number, texts: Iterable<string>): string[] {
  const taken: string[] = [];
  let left = length;
  for (const text of texts) {
    left -= text.length + 2;
    if (left < 0) break;
    taken.push(text);
  }
  return taken;
}

const quoted = (name: string): string => `"${clipped(name, MAX_NAME)}"`;
const clipped = (text: string, length: number): string => (text.length > length ? `${text.slice(0, length)}…` : text);
