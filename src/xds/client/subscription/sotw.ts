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
  /** Names that are not on the server's list of this stream yet. */
  readonly #fresh = new Set<string>();
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

  add(name: string): void {
    if (this.#names.has(name)) {
      this.#renew(name);
      return;
    }
    this.#names.add(name);
    this.#fresh.add(name);
    this.#dirty = true;
    this.#doubts.came(name);
  }

  remove(name: string): void {
    if (!this.#names.delete(name)) return;
    this.#doubts.forget(name);
    this.#omitted.delete(name);
    this.#dirty = true;
    if (!this.#fresh.delete(name)) this.#doubts.left(name);
  }

  /** "the nonce is scoped to the stream": everything wanted must be asked for anew. */
  streamOpened(): void {
    this.#nonce = '';
    this.#named = false;
    this.#dirty = this.#names.size > 0;
    this.#doubts.clear();
    this.#omitted.clear();
    for (const name of this.#names) this.#fresh.add(name);
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
    this.#dirty = this.#omitted.size > 0;
    const names = [...this.#fresh];
    this.#fresh.clear();
    const message: DiscoveryRequest = {
      ...(this.#version === '' ? {} : { version_info: this.#version }),
      resource_names: [...this.#names].filter((name) => !this.#omitted.has(name)),
      type_url: this.type,
      ...(this.#nonce === '' ? {} : { response_nonce: this.#nonce }),
      ...more,
    };
    for (const name of this.#omitted) this.#comeBack(name);
    this.#omitted.clear();
    return { message, names };
  }

  /** "the server must resend any newly requested resources": one that is on its list already has to leave it for a request. */
  #renew(name: string): void {
    if (this.#fresh.has(name)) return;
    this.#omitted.add(name);
    this.#dirty = true;
  }

  #comeBack(name: string): void {
    this.#fresh.add(name);
    this.#doubts.raise(name);
  }
}
