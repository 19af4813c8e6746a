import { Asked, type AskedEnv } from './asked.js';

/** Stores or services of one kind that a mesh holds at most; of more, which only updates of the configuration bring about, the one asked longest ago is closed. */
const MAX_ASKED = 256;
/** One that nobody has asked for so long is closed when another comes, in milliseconds: longer than any request waits in a line. */
const IDLE_MS = 900_000;

export interface AskedTableOptions<R, T> {
  /** Absent: there are none here. */
  readonly make: ((ref: R) => T | Promise<T>) | undefined;
  readonly discard: (made: T) => Promise<void> | void;
  /** For events. */
  readonly nameOf: (ref: R) => string;
  /** What of a reference makes a store another one, as text. */
  readonly identityOf: (ref: R) => string;
}

/** The stores or services of one kind, each made when a rule first names it. */
export class AskedTable<R extends { readonly kind: string; readonly timeoutMs: number }, T> {
  readonly #byIdentity = new Map<string, Asked<T>>();
  /** The same by what rules hold, which is asked for each request. */
  #byRef = new WeakMap<R, Asked<T>>();
  #closed = false;

  constructor(
    private readonly options: AskedTableOptions<R, T>,
    private readonly env: AskedEnv,
  ) {}

  get(ref: R): Asked<T> {
    const known = this.#byRef.get(ref);
    if (known !== undefined) return known;
    const identity = this.options.identityOf(ref);
    let asked = this.#byIdentity.get(identity);
    if (asked === undefined) {
      this.#makeRoom();
      asked = this.#add(ref);
      this.#byIdentity.set(identity, asked);
    }
    this.#byRef.set(ref, asked);
    return asked;
  }

  async close(): Promise<void> {
    this.#closed = true;
    await Promise.all([...this.#byIdentity.values()].map((asked) => asked.close()));
  }

  #add(ref: R): Asked<T> {
    const { make, discard, nameOf } = this.options;
    const made = (): T | Promise<T> => {
      if (make === undefined || this.#closed) throw new Error(`there is no store of kind "${ref.kind}" here`);
      return make(ref);
    };
    return new Asked(`${ref.kind}:${nameOf(ref)}`, ref.timeoutMs, made, discard, this.env);
  }

  /** Nobody says which of them the configuration still names. A rule that names a closed one has it made anew. */
  #makeRoom(): void {
    const since = this.env.clock.now() - IDLE_MS;
    let oldest: string | undefined;
    let oldestAsked = Number.POSITIVE_INFINITY;
    for (const [identity, { lastAsked }] of this.#byIdentity) {
      if (lastAsked < since) this.#drop(identity);
      else if (lastAsked < oldestAsked) {
        oldest = identity;
        oldestAsked = lastAsked;
      }
    }
    if (oldest !== undefined && this.#byIdentity.size >= MAX_ASKED) this.#drop(oldest);
  }

  #drop(identity: string): void {
    const asked = this.#byIdentity.get(identity);
    this.#byIdentity.delete(identity);
    this.#byRef = new WeakMap();
    asked?.close().catch(() => {}); // it is as good as closed
  }
}
