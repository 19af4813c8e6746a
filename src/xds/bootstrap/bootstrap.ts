import type { Resource } from '../../core/resources.js';

/** How to talk to a server: gRFC A27 `insecure`, A65 `tls`. */
export type ChannelCredentialsConfig =
  | { readonly kind: 'insecure' }
  | {
      readonly kind: 'tls';
      /** PEM; the system's roots when not set. */
      readonly caCertificateFile: string | undefined;
      /** PEM; with `privateKeyFile` the client shows a certificate of its own. */
      readonly certificateFile: string | undefined;
      readonly privateKeyFile: string | undefined;
    };

/** One entry of `xds_servers`. */
export interface XdsServer {
  /** A gRPC target: `127.0.0.1:18000`, `dns:///xds.example:443`, `unix:///run/xds.sock`. */
  readonly uri: string;
  readonly credentials: ChannelCredentialsConfig;
  /** gRFC A88 `fail_on_data_errors`: what is deleted or invalid takes the last good resource with it. Default: that one stays. */
  readonly failOnDataErrors: boolean;
  /** gRFC A88 `resource_timer_is_transient_error`: silence about a resource is the server's trouble, not the resource's absence. */
  readonly resourceTimerIsTransientError: boolean;
}

/** What a client has to know before it can ask for anything else. */
export interface Bootstrap {
  /** In order of preference. */
  readonly servers: readonly [XdsServer, ...XdsServer[]];
  /** `envoy.config.core.v3.Node`, in the proto's shape. */
  readonly node: Resource;
  /** `client_default_listener_resource_name_template`: `%s` stands for the authority. Default `%s`. */
  readonly listenerTemplate: string;
}

/** Name of the Listener for an authority, gRFC A27 and A47: a template in `xdstp:` form takes it percent-encoded. */
export function listenerName(template: string, authority: string): string {
  const name = template.startsWith('xdstp:') ? encodeURIComponent(authority) : authority;
  // A function, because `$&` in a replacement text would mean something else.
  return template.replaceAll('%s', () => name);
}
