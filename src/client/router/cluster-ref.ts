import type { MeshError } from '../../core/errors.js';
import type { Upstream } from '../endpoints/upstream.js';

/** What calls to a cluster go to, why they cannot, or undefined when the target knows none of that name. */
export type Meaning = Upstream | MeshError | undefined;

/** A cluster by name, whatever it is at the time: asked for at the first call to it, and again when it has become something else. */
export class ClusterRef {
  #meaning: Meaning;
  #known = false;
  #fixed = true;

  constructor(private readonly resolve: () => Meaning) {}

  /** The same object as long as what was composed of it holds. */
  get meaning(): Meaning {
    if (!this.#known) {
      this.#meaning = this.resolve();
      this.#known = this.#fixed;
    }
    return this.#meaning;
  }

  /** From now on it is asked for each time: clusters may go at any time. */
  unfix(): void {
    this.#fixed = false;
    this.forget();
  }

  forget(): void {
    this.#meaning = undefined;
    this.#known = false;
  }
}
