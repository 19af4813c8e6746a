import type { ResourceError } from './message.js';

/**
 * What is valid, and yet more than this version can do. It is told last, when all else has been checked, so that a mistake in the same
 * resource is told as the mistake that it is; but it is told: what protects an application is never left out in silence.
 */
export class Unsupported {
  #first: ResourceError | undefined;

  add(error: ResourceError): void {
    this.#first ??= error;
  }

  throwIfAny(): void {
    if (this.#first !== undefined) throw this.#first;
  }
}
