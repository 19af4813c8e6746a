import { ConfigUnavailableError } from '../errors.js';
import type { FallbackConfig } from './fallback.js';

/** A cluster that cannot be called, since its endpoints or its members cannot be used, while its own resource is known: what stands in for it is. */
export class TroubledCluster extends ConfigUnavailableError {
  constructor(
    message: string,
    readonly fallback: readonly FallbackConfig[] | undefined,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }

  /** Nobody need be told of one after the other. */
  equals(other: unknown): boolean {
    return other instanceof TroubledCluster && other.message === this.message && other.fallback === this.fallback;
  }
}
