import type { ResourceType } from '../../../core/resources.js';
import type { DiscoveryRequest } from '../../wire/messages.js';
import { Doubts } from './doubts.js';
import { INVALID_ARGUMENT, type Subscription, type TypeRequest } from './subscription.js';

/** State of the world: names, version and nonce. */
export class SotwSubscription implements Subscription {
  readonly #names = new Set<string>();
  /** Of the last response that was accepted. Written by `accepted`; survives a broken stream. */
  #version = '';
  /** Of the last response on this stream. Written by `accepted` and `rejected`; emptied by `streamOpened`. */
  #nonce = '';
  /** Names were sent on this stream. Until then an empty list would mean "everything" (LDS, CDS), and is not sent. */
  #named = false;
  /** Names differ from what the server was told last. */
  #dirty = false;
  /** Names to leave out of the next request, so that the one after it asks for them anew. */
  readonly #omitted = new Set<string>();
  /** Names in the last request of this stream. Written by `#request`; emptied by `streamOpened`. */
  #listed: ReadonlySet<string> = new Set();
  readonly #doubts: Doubts;

  constructor(
    readonly type: ResourceType,
    now: () => number,
  ) {
    this.#doubts = new Doubts(now);
  }

  get version(): string {
    return this.#version;
  }

  get names(): ReadonlySet<string> {
    return this.#names;
  }

  /** "the server must resend any newly requested resources": one that is on its list, be it that it left and came back meanwhile, is none. */
  add(name: string): void {
    if (!this.#names.has(name)) this.#doubts.came(name);
    this.#names.add(name);
    if (this.#listed.has(name)) this.#omitted.add(name);
    this.#dirty = true;
  }

  remove(name: string): void {
    if (!this.#names.delete(name)) return;
    this.#doubts.forget(name);
    this.#omitted.delete(name);
    this.#dirty = true;
    if (this.#listed.has(name)) this.#doubts.left(name);
  }

  /** "the nonce is scoped to the stream": everything wanted must be asked for anew. */
  streamOpened(): void {
    this.#nonce = '';
    this.#named = false;
    this.#dirty = this.#names.size > 0;
    this.#doubts.clear();
    this.#omitted.clear();
    this.#listed = new Set();
  }

  get pending(): boolean {
    return this.#dirty && (this.#named || this.#names.size > 0);
  }

  get asked(): boolean {
    return this.#named;
  }

  /** The request that tells the names, with the last nonce: "the newest request's list is the whole subscription". */
  request(): TypeRequest {
    return this.#request({});
  }

  /** The new version. A change of names rides on it. */
  accepted(version: string, nonce: string): TypeRequest {
    this.#version = version;
    this.#nonce = nonce;
    return this.#request({});
  }

  /** The version before, and why. "The server detects rejection by error_detail's presence." */
  rejected(nonce: string, message: string): TypeRequest {
    this.#nonce = nonce;
    return this.#request({ error_detail: { code: INVALID_ARGUMENT, message } });
  }

  acceptedAfterStream(version: string): void {
    this.#version = version;
  }

  forget(): void {
    this.#version = '';
  }

  doubtfulUntil(name: string): number | undefined {
    return this.#doubts.until(name);
  }

  #request(more: Pick<DiscoveryRequest, 'error_detail'>): TypeRequest {
    this.#named = true;
    const listed = [...this.#names].filter((name) => !this.#omitted.has(name));
    const names = listed.filter((name) => !this.#listed.has(name));
    this.#listed = new Set(listed);
    const message: DiscoveryRequest = {
      ...(this.#version === '' ? {} : { version_info: this.#version }),
      resource_names: listed,
      type_url: this.type,
      ...(this.#nonce === '' ? {} : { response_nonce: this.#nonce }),
      ...more,
    };
    this.#dirty = this.#omitted.size > 0;
    for (const name of this.#omitted) {
      this.#doubts.left(name);
      this.#doubts.raise(name);
    }
    this.#omitted.clear();
    return { message, names };
  }
}
