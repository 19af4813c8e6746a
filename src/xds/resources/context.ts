/** What decoding depends on beside the resource: the bootstrap's word. */
export interface DecoderContext {
  /** Instance names in `certificate_providers`; a TLS context that names another is refused (gRFC A29). */
  readonly certificateProviders: ReadonlySet<string>;
}
