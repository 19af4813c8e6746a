import type { ResourceOrigin } from '../origin.js';

/** What decoding depends on beside the resource: the bootstrap's word. */
export interface DecoderContext {
  /** Instance names in `certificate_providers`; a TLS context that names another is refused (gRFC A29). */
  readonly certificateProviders: ReadonlySet<string>;
}

/** What the reader of one resource is told. */
export interface ReadContext extends DecoderContext {
  readonly origin: ResourceOrigin;
}
