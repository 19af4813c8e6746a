import type { HeaderFields } from '../../core/headers.js';

/** What an authorization service says of a request. Header names are in lower case; those that nobody may set are left out already. */
export type CheckVerdict =
  | {
      readonly kind: 'allowed';
      /** For the request that goes on. Set in place of the client's; added after them; added where there is none; taken away. */
      readonly set: HeaderFields;
      readonly append: HeaderFields;
      readonly addIfAbsent: HeaderFields;
      readonly remove: readonly string[];
      /** For the reply, whatever it is. */
      readonly reply: HeaderFields;
    }
  | { readonly kind: 'denied'; readonly status: number; readonly headers: HeaderFields; readonly body: Uint8Array };

/** The other side of it: what a service is told. */
export interface CheckSubject {
  readonly method: string;
  /** Path and query. */
  readonly path: string;
  readonly host: string;
  readonly scheme: string;
  /** `HTTP/1.1`, `HTTP/2`; '' where nobody knows. */
  readonly protocol: string;
  readonly headers: HeaderFields;
  /** IP address and port of the client, as far as known. */
  readonly source: { readonly address: string; readonly port: number } | undefined;
  readonly destination: { readonly address: string; readonly port: number } | undefined;
  /** SPIFFE ID of the client, or of the server: verified. */
  readonly principal: string | undefined;
  readonly ownPrincipal: string | undefined;
  /** Wall time in milliseconds. */
  readonly at: number;
  /** Undefined: it is not shown. `partial`: it is longer. */
  readonly body: { readonly bytes: Uint8Array; readonly partial: boolean } | undefined;
  readonly context: Readonly<Record<string, string>>;
}

/** The service gave no answer that can be used. */
export class CheckFailure extends Error {
  override readonly name = 'CheckFailure';
}
