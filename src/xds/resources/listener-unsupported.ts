import type { Message, ResourceError } from './message.js';

/**
 * What is valid, and yet more than this version can do. It is told last, when all else has been checked, so that a mistake in the same
 * resource is told as the mistake that it is; but it is told: what protects an application is never left out in silence.
 */
export class Unsupported {
  #first: ResourceError | undefined;

  add(error: ResourceError): void {
    this.#first ??= error;
  }

  /** A list that is longer than what we take. */
  addMoreThan(max: number, owner: Message, field: string, length: number): void {
    if (length > max) this.add(owner.error(field, `must have at most ${max}, got ${length}`));
  }

  get first(): ResourceError | undefined {
    return this.#first;
  }

  throwIfAny(): void {
    if (this.#first !== undefined) throw this.#first;
  }
}
