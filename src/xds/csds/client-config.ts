import type { DumpedResource, Resource, ResourcesDump, ResourceType } from '../../core/resources.js';
import { type Codec, CodecError, type RawAny } from '../wire/index.js';

/** Without the contents of resources, their names and states remain. */
export interface ConfigOptions {
  readonly excludeContents: boolean;
}

/** `envoy.service.status.v3.ClientConfig`, without the resources. */
export function clientConfig({ node, scope }: ResourcesDump): object {
  return { ...(node === undefined ? {} : { node }), client_scope: scope };
}

/**
 * `envoy.service.status.v3.ClientConfig.GenericXdsConfig`, which A40 prefers to the deprecated `PerXdsConfig`. "The gRPC CSDS service should
 * always return the currently accepted xDS configs": `xds_config` is the value in use, whatever the state, and what was refused is
 * `failed_configuration`.
 */
export function genericXdsConfig(codec: Codec, resource: DumpedResource, { excludeContents }: ConfigOptions): object {
  const { type, name, state, version, updatedAt, raw, error } = resource;
  const packed = (content: typeof raw): RawAny | undefined =>
    excludeContents ? undefined : packedAny(codec, type, content);
  return {
    type_url: type,
    name,
    version_info: version,
    xds_config: packed(raw),
    last_updated: updatedAt === undefined ? undefined : timestamp(updatedAt),
    client_status: state,
    error_state:
      error === undefined
        ? undefined
        : {
            failed_configuration: packed(error.raw),
            last_update_attempt: timestamp(error.attemptedAt),
            details: error.details,
            version_info: error.version,
          },
  };
}

/** "cache and expose the xDS config the way gRPC receives them" - A40: bytes as they came. Undefined when there is none, or none can be made. */
function packedAny(codec: Codec, type: ResourceType, content: Uint8Array | Resource | undefined): RawAny | undefined {
  if (content === undefined) return undefined;
  if (content instanceof Uint8Array) return { type_url: type, value: content };
  try {
    return { type_url: type, value: codec.encodeResource(type, content) };
  } catch (error) {
    // Embedded configuration that no wire could carry: its `error_state` tells of it.
    if (error instanceof CodecError) return undefined;
    throw error;
  }
}

/** `google.protobuf.Timestamp` of wall time in milliseconds. */
function timestamp(wallMs: number): object {
  const seconds = Math.floor(wallMs / 1_000);
  return { seconds, nanos: Math.floor((wallMs - seconds * 1_000) * 1e6) };
}
