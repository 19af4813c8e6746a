import type { Resource } from '../../core/resources.js';

/**
 * How to talk to a server: gRFC A27 `insecure`, A65 `tls`, `google_default` for what it means outside of Google's cloud: TLS with the system's roots; and
 * `inmesh_identity`, a type of our own.
 */
export type ChannelCredentialsConfig =
  | { readonly kind: 'insecure' }
  /** TLS under the identity of this workload, wherever that comes from (certificate provider instance `default`). */
  | {
      readonly kind: 'identity';
      /** SPIFFE ID that the server must have. Undefined: that of our control plane, in the workload's own trust domain. */
      readonly serverId: string | undefined;
    }
  | {
      readonly kind: 'tls';
      /** PEM; the system's roots when not set. */
      readonly caCertificateFile: string | undefined;
      /** PEM; with `privateKeyFile` the client shows a certificate of its own. */
      readonly certificateFile: string | undefined;
      readonly privateKeyFile: string | undefined;
      /** Milliseconds after which files are read anew. Default 600_000 (gRFC A65), at least 1_000. */
      readonly refreshIntervalMs: number;
    };

/** `call_creds`: what is sent with each stream, over TLS only (gRFC A97). */
export interface CallCredentialsConfig {
  readonly kind: 'jwt_token_file';
  readonly file: string;
}

/** How resources are asked for, by Envoy's names (`ApiConfigSource.ApiType`): state of the world or delta, one stream for each type or one for all. */
export type ApiType = 'GRPC' | 'DELTA_GRPC' | 'AGGREGATED_GRPC' | 'AGGREGATED_DELTA_GRPC';

/** One entry of `xds_servers`. */
export interface XdsServer {
  /** A gRPC target: `127.0.0.1:18000`, `dns:///xds.example:443`, `unix:///run/xds.sock`. */
  readonly uri: string;
  readonly credentials: ChannelCredentialsConfig;
  /** Empty: none. */
  readonly callCredentials: readonly CallCredentialsConfig[];
  /**
   * `api_type`, a field of our own. Default AGGREGATED_GRPC, as every gRPC client. A server that answers UNIMPLEMENTED to a delta stream is
   * asked for the state of the world instead.
   */
  readonly apiType: ApiType;
  readonly features: ServerFeatures;
}

/** `server_features`. That of gRFC A53, `ignore_resource_deletion`, is ignored: what it asked for is the default since A88. */
export interface ServerFeatures {
  /** gRFC A88 `fail_on_data_errors`: what is deleted or invalid takes the last good resource with it. Default: that one stays. */
  readonly failOnDataErrors: boolean;
  /** gRFC A88 `resource_timer_is_transient_error`: silence about a resource is the server's trouble, not the resource's absence. */
  readonly resourceTimerIsTransientError: boolean;
  /** gRFC A81 `trusted_xds_server`: it may have `:authority` rewritten. Always true of a server that the application itself named. */
  readonly trusted: boolean;
  /** `inmesh.settings`, our own: it serves what MeshConfig says to every client (`SETTINGS_LISTENER`). Always asked of a server that is named by its address alone. */
  readonly settings?: true | undefined;
}

/** One of `certificate_providers`: `file_watcher` is the plug-in that every gRPC client has (gRFC A29). */
export interface CertificateProviderConfig {
  readonly kind: 'file_watcher';
  readonly certificateFile: string | undefined;
  readonly privateKeyFile: string | undefined;
  readonly caCertificateFile: string | undefined;
  /** gRFC A87 `spiffe_trust_bundle_map_file`; where it is set `caCertificateFile` is not. */
  readonly spiffeTrustBundleMapFile: string | undefined;
  /** Milliseconds after which files are read anew. Default 600_000, at least 1_000. */
  readonly refreshIntervalMs: number;
}

/** A control plane of its own for the names `xdstp://<authority>/…` (gRFC A47). */
export interface AuthorityConfig {
  /** `client_listener_resource_name_template`. Default `xdstp://<authority>/envoy.config.listener.v3.Listener/%s`. */
  readonly listenerTemplate: string;
  /** In order of preference; those of the top level when the authority names none. */
  readonly servers: readonly [XdsServer, ...XdsServer[]];
}

/** What a client has to know before it can ask for anything else. */
export interface Bootstrap {
  /** In order of preference (gRFC A71). */
  readonly servers: readonly [XdsServer, ...XdsServer[]];
  /** `envoy.config.core.v3.Node`, in the proto's shape. */
  readonly node: Resource;
  /** `client_default_listener_resource_name_template`: `%s`, where there is one, stands for the authority. Default `%s`. */
  readonly listenerTemplate: string;
  /** `server_listener_resource_name_template`: `%s` stands for the address listened on. Undefined: no servers (gRFC A36). */
  readonly serverListenerTemplate: string | undefined;
  /** By instance name. */
  readonly certificateProviders: ReadonlyMap<string, CertificateProviderConfig>;
  /** By name (gRFC A47). */
  readonly authorities: ReadonlyMap<string, AuthorityConfig>;
}

/** A text that is the same for servers which are the same: the key of connections and load reports. */
export function serverKey(server: XdsServer): string {
  return JSON.stringify([server.uri, server.credentials, server.callCredentials, server.apiType, server.features]);
}
