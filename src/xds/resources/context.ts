import type { ResourceOrigin } from '../origin.js';

/** What decoding depends on beside the resource: the bootstrap's word, and the application's. */
export interface DecoderContext {
  /** Instance names in `certificate_providers`; a TLS context that names another is refused (gRFC A29). */
  readonly certificateProviders: ReadonlySet<string>;
  /** Names of the load balancing policies that the application has registered (gRFC A52); absent: none. Asked with each cluster. */
  readonly balancers?: PolicyNames | undefined;
}

/** What is asked whether there is a policy of a name. */
export type PolicyNames = Pick<ReadonlySet<string>, 'has'>;

/** What the reader of one resource is told. */
export interface ReadContext extends DecoderContext {
  readonly origin: ResourceOrigin;
}
