import type { Resource } from '../../core/resources.js';

/** An `Any` as it travels: a type and bytes nobody has looked into. */
export interface RawAny {
  readonly type_url: string;
  readonly value: Uint8Array;
}

/** `envoy.service.discovery.v3.DiscoveryRequest`, the fields that inmesh reads or writes. */
export interface DiscoveryRequest {
  readonly version_info?: string;
  readonly node?: Resource;
  readonly resource_names?: readonly string[];
  readonly type_url?: string;
  readonly response_nonce?: string;
  /** `google.rpc.Status`; its presence makes the request a NACK. */
  readonly error_detail?: { readonly code?: number; readonly message?: string };
}

/** `envoy.service.discovery.v3.DiscoveryResponse`, the fields that inmesh reads or writes. */
export interface DiscoveryResponse {
  readonly version_info?: string;
  readonly resources?: readonly RawAny[];
  readonly type_url?: string;
  readonly nonce?: string;
  readonly control_plane?: { readonly identifier?: string };
  readonly resource_errors?: readonly ResourceError[];
}

/** `envoy.service.discovery.v3.ResourceError`, gRFC A88: why one resource cannot be had. */
export interface ResourceError {
  readonly resource_name?: { readonly name?: string };
  readonly error_detail?: { readonly code?: number; readonly message?: string };
}

/** `envoy.service.discovery.v3.DeltaDiscoveryRequest`, the fields that inmesh reads or writes. */
export interface DeltaDiscoveryRequest {
  readonly node?: Resource;
  readonly type_url?: string;
  readonly resource_names_subscribe?: readonly string[];
  readonly resource_names_unsubscribe?: readonly string[];
  /** By name: what the client still has of an earlier stream. In the first request of a type on a stream, and no other. */
  readonly initial_resource_versions?: Readonly<Record<string, string>>;
  /** Of the response that this answers; absent when it only changes what is wanted. */
  readonly response_nonce?: string;
  /** `google.rpc.Status`; its presence makes the request a NACK. */
  readonly error_detail?: { readonly code?: number; readonly message?: string };
}

/** `envoy.service.discovery.v3.DeltaDiscoveryResponse`, the fields that inmesh reads or writes. */
export interface DeltaDiscoveryResponse {
  /** "The version of the response data (used for debugging)" - discovery.proto. Clients make nothing of it. */
  readonly system_version_info?: string;
  readonly resources?: readonly WrappedResource[];
  readonly type_url?: string;
  /** Names that do not exist, or no longer. */
  readonly removed_resources?: readonly string[];
  /** xRFC TP2: the same, when names come with dynamic parameters. */
  readonly removed_resource_names?: readonly { readonly name?: string }[];
  readonly nonce?: string;
  readonly control_plane?: { readonly identifier?: string };
  readonly resource_errors?: readonly ResourceError[];
}

/** `envoy.service.discovery.v3.Resource`. In a DiscoveryResponse it travels inside an Any, when the client says that it knows it. */
export interface WrappedResource {
  readonly name?: string;
  /** xRFC TP2: the name, when it comes with dynamic parameters. */
  readonly resource_name?: { readonly name?: string };
  readonly aliases?: readonly string[];
  readonly version?: string;
  /** Absent in a heartbeat, which renews `ttl` and nothing else. */
  readonly resource?: RawAny;
  /** `google.protobuf.Duration`: when it has passed without news, the resource is as though deleted. */
  readonly ttl?: { readonly seconds?: number; readonly nanos?: number };
}
