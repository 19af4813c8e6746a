import { createHash } from 'node:crypto';
import type { Clock } from '../../core/clock.js';
import type { Resource, ResourceType } from '../../core/resources.js';
import { runToEnd, type Steps } from '../../core/steps.js';
import type { ResourceOrigin } from '../origin.js';
import type { Codec } from '../wire/codec.js';
import type { DiscoveryResponse, RawAny } from '../wire/messages.js';

/** Turns a resource into what watchers get; throws an Error to refuse it. Knows what a resource means; this folder does not. */
export type ResourceDecoder = (resource: Resource, name: string, origin: ResourceOrigin) => Steps<unknown>;

/** The loop is given back after so many milliseconds of decoding. */
const SLICE_MS = 8;
const WRAPPER = 'type.googleapis.com/envoy.service.discovery.v3.Resource';

export interface GoodResource {
  /** Undefined: the same bytes as the value that is cached. */
  readonly value: { readonly decoded: unknown } | undefined;
  readonly digest: string;
  /** The resource's own, from its wrapper, or else the response's. */
  readonly version: string;
}

/** A response, resource by resource. Only those that were asked for are in it. */
export interface Unpacked {
  readonly good: Map<string, GoodResource>;
  readonly bad: Map<string, Error>;
  /** What has no name: a resource that cannot be read so far, or says it has none. */
  readonly nameless: string[];
  /** Asked for and there, but as a heartbeat without content: nothing changes. */
  readonly untouched: Set<string>;
}

export interface UnpackOptions {
  readonly codec: Codec;
  readonly decode: ResourceDecoder;
  readonly clock: Clock;
  readonly type: ResourceType;
  readonly origin: ResourceOrigin;
  /** "The client ignores resources it did not ask for." */
  wanted(name: string): boolean;
  /** Digest of the bytes that the cached value was made from; '' when there is none. */
  cachedDigest(name: string): string;
}

/** Reads and decodes what a response carries, a slice at a time: ten megabytes must not stop the calls that are under way. */
export async function unpack(response: DiscoveryResponse, options: UnpackOptions): Promise<Unpacked> {
  const { clock } = options;
  const result: Unpacked = { good: new Map(), bad: new Map(), nameless: [], untouched: new Set() };
  const version = response.version_info ?? '';
  let sliceEnds = clock.now() + SLICE_MS;
  for (const [i, packed] of (response.resources ?? []).entries()) {
    unpackOne(packed, i, version, options, result);
    if (clock.now() >= sliceEnds) {
      await new Promise<void>((resolve) => clock.after(0, resolve));
      sliceEnds = clock.now() + SLICE_MS;
    }
  }
  return result;
}

function unpackOne(
  packed: RawAny,
  index: number,
  responseVersion: string,
  options: UnpackOptions,
  result: Unpacked,
): void {
  const { codec, type } = options;
  let name = '';
  let version = responseVersion;
  let body: RawAny | undefined = packed;
  try {
    if (packed.type_url === WRAPPER) {
      const wrapper = codec.decodeMessage(WRAPPER, packed.value, { rawAny: true });
      name = (wrapper['name'] as string | undefined) ?? '';
      version = (wrapper['version'] as string | undefined) || version;
      body = wrapper['resource'] as RawAny | undefined;
    }
    if (name === '' && body?.type_url === type) name = codec.resourceName(type, body.value);
  } catch (error) {
    result.nameless.push(`resources[${index}]: ${(error as Error).message}`);
    return;
  }
  if (name === '') {
    const problem =
      body === undefined || body.type_url === type ? 'has no name' : `is a ${body.type_url}, not a ${type}`;
    result.nameless.push(`resources[${index}]: ${problem}`);
    return;
  }
  if (!options.wanted(name) || result.bad.has(name)) return;
  if (result.good.has(name) || result.untouched.has(name)) {
    result.good.delete(name);
    result.untouched.delete(name);
    result.bad.set(name, new Error('is in the response twice'));
    return;
  }
  if (body === undefined) result.untouched.add(name);
  else decodeOne(name, version, body, options, result);
}

function decodeOne(name: string, version: string, body: RawAny, options: UnpackOptions, result: Unpacked): void {
  const { codec, type } = options;
  try {
    if (body.type_url !== type) throw new Error(`is a ${body.type_url}, not a ${type}`);
    const digest = createHash('sha256').update(body.value).digest('base64');
    const same = digest === options.cachedDigest(name);
    const value = same
      ? undefined
      : { decoded: runToEnd(options.decode(codec.decodeResource(type, body.value), name, options.origin)) };
    result.good.set(name, { value, digest, version });
  } catch (error) {
    result.bad.set(name, error instanceof Error ? error : new Error(String(error)));
  }
}

/** At most so many characters of explanation go into a NACK. */
const MAX_DETAIL = 16_384;

/** What a NACK says: every bad resource by name (gRFC A46); undefined when there is nothing to refuse. */
export function refusal({ bad, nameless }: Unpacked): string | undefined {
  if (bad.size === 0 && nameless.length === 0) return undefined;
  const lines = [...nameless, ...[...bad].map(([name, error]) => `"${name}": ${error.message}`)];
  const text = lines.join('; ');
  return text.length <= MAX_DETAIL ? text : `${text.slice(0, MAX_DETAIL)}… (${lines.length} in all)`;
}
