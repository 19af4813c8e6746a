import type { Call } from '../../core/call.js';
import { MeshClosedError } from '../../core/errors.js';

/**
 * Attempts under way, of all clusters, those that no target names any more included: what `mesh.close()` has to end. A Set costs two
 * operations an attempt; a listener per call would cost more.
 */
export class UnderWay {
  readonly #attempts = new Set<Call>();
  /** After `close`: no attempt may begin. */
  closed = false;

  get size(): number {
    return this.#attempts.size;
  }

  begin(attempt: Call): void {
    this.#attempts.add(attempt);
  }

  end(attempt: Call): void {
    this.#attempts.delete(attempt);
  }

  /** Cancels all with MESH_CLOSED. */
  close(): void {
    this.closed = true;
    for (const attempt of [...this.#attempts]) attempt.cancel(new MeshClosedError());
  }
}
