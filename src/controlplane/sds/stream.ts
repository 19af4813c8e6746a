import { type Resource, SECRET } from '../../core/resources.js';
import type {
  Codec,
  DeltaDiscoveryRequest,
  DeltaDiscoveryResponse,
  DiscoveryRequest,
  DiscoveryResponse,
} from '../../xds/wire/index.js';

/** Secrets that one stream may ask for. */
const MAX_NAMES = 1_000;

/** A secret as it is sent. */
export interface EncodedSecret {
  readonly name: string;
  readonly bytes: Uint8Array;
}

export interface SecretStreamOptions {
  readonly codec: Codec;
  /** The secret of that name now; undefined: there is none. Throws where this client may not have it. */
  readonly find: (name: string) => Resource | undefined;
  /** What the client says of a response that it did not take. */
  readonly refused: (reason: string) => void;
}

/** What one client has asked for and been given: what both variants of the protocol have in common. */
abstract class SecretStream<Request, Response> {
  protected readonly names = new Set<string>();
  /** By name: what was sent last. */
  readonly #sent = new Map<string, Uint8Array>();
  #counter = 0;

  constructor(protected readonly options: SecretStreamOptions) {}

  /** What to answer with; undefined: nothing. Throws where the client may not have what it asks for, or asks for too much. */
  abstract request(request: Request): Response | undefined;
  /** The same, after something has changed. */
  abstract push(): Response | undefined;

  protected nonce(): string {
    return String(++this.#counter);
  }

  protected subscribe(names: readonly string[]): void {
    for (const name of names) this.names.add(name);
    if (this.names.size > MAX_NAMES)
      throw new RangeError(`${this.names.size} secrets are asked for; ${MAX_NAMES} at most`);
  }

  protected unsubscribe(name: string): void {
    this.names.delete(name);
    this.#sent.delete(name);
  }

  /** Those that are not what was sent last; `again`: all that there are. What is gone is told by nobody: whoever has it keeps it. */
  protected take(again: boolean): EncodedSecret[] {
    const { codec, find } = this.options;
    return [...this.names].flatMap((name) => {
      const resource = find(name);
      if (resource === undefined) return [];
      const bytes = codec.encodeResource(SECRET, resource);
      const before = this.#sent.get(name);
      if (!again && before !== undefined && Buffer.compare(before, bytes) === 0) return [];
      this.#sent.set(name, bytes);
      return [{ name, bytes }];
    });
  }
}

export class StateOfTheWorld extends SecretStream<DiscoveryRequest, DiscoveryResponse> {
  #last = '';

  request({ resource_names: names = [], error_detail: error, response_nonce: nonce = '' }: DiscoveryRequest) {
    // An answer to an older response than the last one is void.
    if (nonce !== '' && nonce !== this.#last) return undefined;
    if (error !== undefined) this.options.refused(error.message ?? '');
    const fresh = names.some((name) => !this.names.has(name));
    for (const name of [...this.names]) if (!names.includes(name)) this.unsubscribe(name);
    this.subscribe(names);
    return fresh || nonce === '' ? this.#response(true) : undefined;
  }

  push() {
    return this.#response(false);
  }

  #response(again: boolean): DiscoveryResponse | undefined {
    const secrets = this.take(again);
    if (secrets.length === 0) return undefined;
    const resources = secrets.map(({ bytes }) => ({ type_url: SECRET, value: bytes }));
    this.#last = this.nonce();
    return { version_info: this.#last, resources, type_url: SECRET, nonce: this.#last };
  }
}

export class Incremental extends SecretStream<DeltaDiscoveryRequest, DeltaDiscoveryResponse> {
  request(request: DeltaDiscoveryRequest) {
    const {
      resource_names_subscribe: wanted = [],
      resource_names_unsubscribe: gone = [],
      error_detail: error,
    } = request;
    if (error !== undefined) this.options.refused(error.message ?? '');
    // Who asks again wants it again.
    for (const name of [...gone, ...wanted]) this.unsubscribe(name);
    this.subscribe(wanted);
    return wanted.length === 0 ? undefined : this.push();
  }

  push() {
    const secrets = this.take(false);
    if (secrets.length === 0) return undefined;
    const nonce = this.nonce();
    const resources = secrets.map(({ name, bytes }) => ({
      name,
      version: nonce,
      resource: { type_url: SECRET, value: bytes },
    }));
    return { system_version_info: nonce, resources, type_url: SECRET, nonce };
  }
}
