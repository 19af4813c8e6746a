import { type Clock, systemClock } from '../../core/clock.js';
import type { DumpedResource, Resource, ResourcesDump, ResourceState, ResourceType } from '../../core/resources.js';
import { runInSlices, Slices } from '../../core/steps.js';
import { type Codec, CodecError, loadCodec } from '../wire/index.js';
import { plainJson } from './plain-json.js';

/** A ResourcesDump that `JSON.stringify` takes: for people, and for tools that speak no protobuf. Times in ISO 8601. */
export interface ConfigDumpJson {
  readonly scope: string;
  /** Undefined: embedded configuration, which no control plane knows. */
  readonly node: unknown;
  readonly resources: readonly ResourceJson[];
}

export interface ResourceJson {
  readonly type: ResourceType;
  readonly name: string;
  readonly state: ResourceState;
  readonly version: string;
  readonly updatedAt: string | undefined;
  /** The value in use, in the shape of `core/resources.ts`, with bytes as base64; undefined when there is none. */
  readonly resource: unknown;
  readonly error:
    | {
        readonly details: string;
        readonly version: string;
        readonly attemptedAt: string;
        readonly resource: unknown;
      }
    | undefined;
}

/** Every resource, decoded where it came as bytes; private keys and passwords are left out. A few milliseconds at a time. */
export async function resourcesAsJson(dump: ResourcesDump, clock: Clock = systemClock): Promise<ConfigDumpJson> {
  const slices = new Slices(clock);
  const resources: ResourceJson[] = [];
  for (const resource of dump.resources) {
    resources.push(await resourceJson(resource, slices));
    if (slices.over) await slices.pause();
  }
  return { scope: dump.scope, node: plainJson(dump.node), resources };
}

async function resourceJson(resource: DumpedResource, slices: Slices): Promise<ResourceJson> {
  const { type, name, state, version, updatedAt, raw, error } = resource;
  return {
    type,
    name,
    state,
    version,
    updatedAt: updatedAt === undefined ? undefined : iso(updatedAt),
    resource: await contentJson(type, raw, slices),
    error:
      error === undefined
        ? undefined
        : {
            details: error.details,
            version: error.version,
            attemptedAt: iso(error.attemptedAt),
            resource: await contentJson(type, error.raw, slices),
          },
  };
}

const iso = (wallMs: number): string => new Date(wallMs).toISOString();

async function contentJson(
  type: ResourceType,
  content: Uint8Array | Resource | undefined,
  slices: Slices,
): Promise<unknown> {
  if (!(content instanceof Uint8Array)) return plainJson(content);
  try {
    // Only what came over a wire needs the schema.
    const codec: Codec = await loadCodec();
    return plainJson(await runInSlices(codec.decodeResourceSteps(type, content), slices));
  } catch (error) {
    // What was refused for being no such message has nothing to show but that.
    if (error instanceof CodecError) return { undecodable: error.message, bytes: content.length };
    throw error;
  }
}
