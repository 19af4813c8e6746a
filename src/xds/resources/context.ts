import type { ResourceOrigin } from '../origin.js';

/** What decoding depends on beside the resource: the bootstrap's word, and the application's. */
export interface DecoderContext {
  /** Instance names in `certificate_providers`; a TLS context that names another is refused (gRFC A29). */
  readonly certificateProviders: ReadonlySet<string>;
  /** Names of the load balancing policies that the application has registered (gRFC A52); absent: none. Looked at with each cluster. */
  readonly balancers?: ReadonlySet<string> | undefined;
}

/** What the reader of one resource is told. */
export interface ReadContext extends DecoderContext {
  readonly origin: ResourceOrigin;
}
