import type { ResourceType } from '../../core/resources.js';
import type { DiscoveryRequest } from '../wire/messages.js';

/** gRPC status INVALID_ARGUMENT, which every client sends with a NACK. */
const INVALID_ARGUMENT = 3;

/**
 * What one type's requests say: names, version and nonce of the state-of-the-world protocol (Envoy, xds_protocol.rst). Knows no
 * stream and no resource, so that the rules can be read and tested by themselves.
 */
export class Subscription {
  readonly #names = new Set<string>();
  /** Of the last response that was accepted. Written by `accepted`; survives a broken stream. */
  #version = '';
  /** Of the last response on this stream. Written by `accepted` and `rejected`; emptied by `streamOpened`. */
  #nonce = '';
  /** Names were sent on this stream. Until then an empty list would mean "everything" (LDS, CDS), and is not sent. */
  #named = false;
  /** Names differ from what the server was told last. */
  #dirty = false;

  constructor(readonly type: ResourceType) {}

  get version(): string {
    return this.#version;
  }

  get names(): ReadonlySet<string> {
    return this.#names;
  }

  add(name: string): void {
    if (this.#names.has(name)) return;
    this.#names.add(name);
    this.#dirty = true;
  }

  remove(name: string): void {
    if (this.#names.delete(name)) this.#dirty = true;
  }

  /** "the nonce is scoped to the stream": everything wanted must be asked for anew. */
  streamOpened(): void {
    this.#nonce = '';
    this.#named = false;
    this.#dirty = this.#names.size > 0;
  }

  /** True when the server has to be told of other names. */
  get pending(): boolean {
    return this.#dirty && (this.#named || this.#names.size > 0);
  }

  /** True when this type was asked for on this stream, so that a response for it is an answer. */
  get asked(): boolean {
    return this.#named;
  }

  /** The request that tells the names, with the last nonce: "the newest request's list is the whole subscription". */
  request(): DiscoveryRequest {
    this.#named = true;
    this.#dirty = false;
    return {
      ...(this.#version === '' ? {} : { version_info: this.#version }),
      resource_names: [...this.#names],
      type_url: this.type,
      ...(this.#nonce === '' ? {} : { response_nonce: this.#nonce }),
    };
  }

  /** An ACK: the new version. A change of names rides on it. */
  accepted(version: string, nonce: string): DiscoveryRequest {
    this.#version = version;
    this.#nonce = nonce;
    return this.request();
  }

  /** A NACK: the version before, and why. "The server detects rejection by error_detail's presence." */
  rejected(nonce: string, message: string): DiscoveryRequest {
    this.#nonce = nonce;
    return { ...this.request(), error_detail: { code: INVALID_ARGUMENT, message } };
  }

  /** What was accepted stands, although its stream has gone before it could be acknowledged. */
  acceptedAfterStream(version: string): void {
    this.#version = version;
  }
}
