/** Where a resource came from, as far as its meaning depends on it. */
export interface ResourceOrigin {
  /** `serverKey` of the server that sent it: "self" in a resource is that one (gRFC A27 `lrs_server`). */
  readonly server: string;
  /** gRFC A81: it may have `:authority` rewritten. */
  readonly trusted: boolean;
}

/** Configuration of the application's own: embedded. */
export const OWN: ResourceOrigin = { server: 'embedded', trusted: true };
