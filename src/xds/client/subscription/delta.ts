import type { ResourceType } from '../../../core/resources.js';
import type { DeltaDiscoveryRequest } from '../../wire/messages.js';
import { Doubts } from './doubts.js';
import { INVALID_ARGUMENT, type Subscription, type TypeRequest } from './subscription.js';

/** What the client has from this server under a name: how the server calls it, and its version. */
export type Held = (name: string) => { readonly name: string; readonly version: string } | undefined;

/** Incremental: only what changes is said, and every resource has a version of its own. */
export class DeltaSubscription implements Subscription {
  readonly #names = new Set<string>();
  /** Names that the server knows of on this stream. */
  readonly #told = new Set<string>();
  readonly #subscribe = new Set<string>();
  readonly #unsubscribe = new Set<string>();
  /** Something was asked for on this stream. A first request without names would mean "everything", and is not sent. */
  #named = false;
  readonly #doubts: Doubts;

  constructor(
    readonly type: ResourceType,
    private readonly held: Held,
    now: () => number,
  ) {
    this.#doubts = new Doubts(now);
  }

  get names(): ReadonlySet<string> {
    return this.#names;
  }

  /** Said also of a name that the server knows: "the server must still provide those resources in the response". */
  add(name: string): void {
    if (!this.#names.has(name)) this.#doubts.came(name);
    this.#names.add(name);
    this.#unsubscribe.delete(name);
    this.#subscribe.add(name);
  }

  /**
   * Not every name is in doubt when it comes back: of one that did not exist the next word is most likely the answer, and whoever calls what
   * nobody knows shall hear so at once.
   */
  remove(name: string, absent: boolean): void {
    if (!this.#names.delete(name)) return;
    this.#subscribe.delete(name);
    this.#doubts.forget(name);
    if (!this.#told.has(name)) return;
    this.#unsubscribe.add(name);
    if (!absent) this.#doubts.left(name);
  }

  /** "no state is assumed to be preserved from the previous stream" */
  streamOpened(): void {
    this.#named = false;
    this.#told.clear();
    this.#unsubscribe.clear();
    this.#doubts.clear();
    for (const name of this.#names) this.#subscribe.add(name);
  }

  get pending(): boolean {
    return this.#subscribe.size > 0 || this.#unsubscribe.size > 0;
  }

  get asked(): boolean {
    return this.#named;
  }

  /** A spontaneous request: "In this case response_nonce must be omitted." */
  request(): TypeRequest {
    const names = [...this.#subscribe];
    const gone = [...this.#unsubscribe];
    const versions = this.#named ? {} : this.#initialVersions(names);
    this.#named = true;
    this.#subscribe.clear();
    this.#unsubscribe.clear();
    for (const name of names) this.#told.add(name);
    for (const name of gone) this.#told.delete(name);
    const message: DeltaDiscoveryRequest = {
      type_url: this.type,
      ...(names.length === 0 ? {} : { resource_names_subscribe: names }),
      ...(gone.length === 0 ? {} : { resource_names_unsubscribe: gone }),
      ...versions,
    };
    return { message, names };
  }

  /** "ACK or NACK is determined by the absence or presence of error_detail"; the version goes without saying. */
  accepted(_version: string, nonce: string): TypeRequest {
    return this.#answer(nonce, {});
  }

  rejected(nonce: string, message: string): TypeRequest {
    return this.#answer(nonce, { error_detail: { code: INVALID_ARGUMENT, message } });
  }

  /** Nothing to keep: each resource has its own version. */
  acceptedAfterStream(): void {}

  /** Nothing to forget: what another server sent is not listed as held. */
  forget(): void {}

  /** "the server must still provide those resources": a removal that is older than the new subscription is not its answer. */
  doubtfulUntil(name: string): number | undefined {
    return this.#doubts.until(name);
  }

  #answer(nonce: string, more: Pick<DeltaDiscoveryRequest, 'error_detail'>): TypeRequest {
    return { message: { type_url: this.type, response_nonce: nonce, ...more }, names: [] };
  }

  /** "On reconnect the client may tell the server of its known resources to avoid resending them." */
  #initialVersions(names: readonly string[]): Pick<DeltaDiscoveryRequest, 'initial_resource_versions'> {
    const versions: Record<string, string> = Object.create(null);
    let any = false;
    for (const name of names) {
      const held = this.held(name);
      if (held === undefined || held.version === '') continue;
      versions[held.name] = held.version;
      any = true;
    }
    return any ? { initial_resource_versions: versions } : {};
  }
}
