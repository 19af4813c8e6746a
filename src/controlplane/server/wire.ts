import type { Resource, ResourceType } from '../../core/resources.js';
import type {
  DeltaDiscoveryRequest,
  DeltaDiscoveryResponse,
  DiscoveryRequest,
  DiscoveryResponse,
  ResourceError,
} from '../../xds/wire/index.js';
import { shortType } from '../snapshot/consistency.js';
import type { StreamRequest, StreamResponse } from './client-stream.js';

/** A request as it is handled, whichever protocol it came in. */
export interface ReadRequest extends StreamRequest {
  readonly node: Resource | undefined;
  readonly typeUrl: string;
}

/** How one variant of the protocol is written: state of the world, or incremental. */
export interface Wording<Request, Response> {
  readonly incremental: boolean;
  read(request: Request): ReadRequest;
  write(response: StreamResponse, identifier: string): Response;
}

/** google.rpc.Code. */
const NOT_FOUND = 5;

export const stateOfTheWorld: Wording<DiscoveryRequest, DiscoveryResponse> = {
  incremental: false,
  read: (request) => ({ ...common(request), wanted: { names: request.resource_names ?? [] } }),
  write: ({ type, version, nonce, resources, absent, noService }, identifier) => ({
    version_info: version,
    type_url: type,
    nonce,
    resources: resources.map(({ bytes }) => ({ type_url: type, value: bytes })),
    control_plane: { identifier },
    // Spares clients that know gRFC A88 the 15 s for which all others wait before they believe it.
    ...(absent.length > 0 ? { resource_errors: absent.map((name) => notFound(type, name, noService)) } : {}),
  }),
};

export const incremental: Wording<DeltaDiscoveryRequest, DeltaDiscoveryResponse> = {
  incremental: true,
  read: (request) => ({
    ...common(request),
    wanted: {
      subscribe: request.resource_names_subscribe ?? [],
      unsubscribe: request.resource_names_unsubscribe ?? [],
      versions: request.initial_resource_versions ?? {},
    },
  }),
  write: ({ type, version, nonce, resources, absent, noService }, identifier) => ({
    system_version_info: version,
    type_url: type,
    nonce,
    resources: resources.map((it) => ({
      name: it.name,
      version: it.version,
      resource: { type_url: type, value: it.bytes },
    })),
    removed_resources: absent,
    control_plane: { identifier },
    // For the names that only inmesh asks for, so that its servers can say what is the matter.
    ...(noService.size > 0
      ? { resource_errors: [...noService.keys()].map((name) => notFound(type, name, noService)) }
      : {}),
  }),
};

function common({ node, type_url, response_nonce, error_detail }: DiscoveryRequest | DeltaDiscoveryRequest) {
  const error = error_detail && { code: error_detail.code ?? 0, message: error_detail.message ?? '' };
  return { node, typeUrl: type_url ?? '', nonce: response_nonce ?? '', error };
}

function notFound(type: ResourceType, name: string, noService: StreamResponse['noService']): ResourceError {
  const message = noService.get(name) ?? `${shortType(type)} "${name}" does not exist in the configuration`;
  return { resource_name: { name }, error_detail: { code: NOT_FOUND, message } };
}
