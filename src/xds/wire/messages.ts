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
  /** gRFC A88: why single resources cannot be had. */
  readonly resource_errors?: readonly {
    readonly resource_name?: { readonly name?: string };
    readonly error_detail?: { readonly code?: number; readonly message?: string };
  }[];
}
