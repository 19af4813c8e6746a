import type { ApiType } from './bootstrap.js';

/** A bootstrap as gRPC clients in every language read it (gRFC A27, A29, A36, A47, A65, A97): for those who write one in code. */
export interface BootstrapJson {
  /** In order of preference; at least one. */
  readonly xds_servers: readonly XdsServerJson[];
  readonly node?: {
    readonly id?: string;
    readonly cluster?: string;
    readonly locality?: { readonly region?: string; readonly zone?: string; readonly sub_zone?: string };
    /** Any JSON object. */
    readonly metadata?: Readonly<Record<string, unknown>>;
  };
  /** By instance name; `plugin_name` is `file_watcher`. */
  readonly certificate_providers?: Readonly<
    Record<string, { readonly plugin_name: string; readonly config?: Readonly<Record<string, unknown>> }>
  >;
  readonly authorities?: Readonly<
    Record<
      string,
      { readonly client_listener_resource_name_template?: string; readonly xds_servers?: readonly XdsServerJson[] }
    >
  >;
  /** Default `%s`. */
  readonly client_default_listener_resource_name_template?: string;
  readonly server_listener_resource_name_template?: string;
}

export interface XdsServerJson {
  readonly server_uri: string;
  /** The first of a type that is known is used: `inmesh_identity` (inmesh's own), `insecure`, `tls`, `google_default`. */
  readonly channel_creds: readonly CredentialsJson[];
  /** All of types that are known are used: `jwt_token_file`. */
  readonly call_creds?: readonly CredentialsJson[];
  readonly server_features?: readonly string[];
  /** inmesh's own. Default AGGREGATED_GRPC. */
  readonly api_type?: ApiType;
}

export interface CredentialsJson {
  readonly type: string;
  readonly config?: Readonly<Record<string, unknown>>;
}
