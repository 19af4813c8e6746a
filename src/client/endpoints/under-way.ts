import type { Call } from '../../core/call.js';
import { MeshClosedError } from '../../core/errors.js';

/**
 * One attempt's place among those under way. Linked by hand, as in core/deadlines.ts: a Set that gains and loses an entry per call keeps its
 * outgrown tables, and the calls that they name, alive until they are collected.
 */
class Place {
  previous: Place = this;
  next: Place = this;

  constructor(readonly attempt: Call | undefined) {}

  leave(): void {
    this.previous.next = this.next;
    this.next.previous = this.previous;
    this.previous = this;
    this.next = this;
  }
}

/** What `begin` gives and `end` takes. */
export type UnderWayPlace = Pick<Place, 'leave'>;

/**
 * Attempts under way, of all clusters, those that no target names any more included: what `mesh.close()` has to end. A place in a ring
 * costs one small object an attempt; a listener per call would cost more.
 */
export class UnderWay {
  readonly #head = new Place(undefined);
  #size = 0;
  /** After `close`: no attempt may begin. */
  closed = false;

  get size(): number {
    return this.#size;
  }

  begin(attempt: Call): UnderWayPlace {
    const place = new Place(attempt);
    const head = this.#head;
    place.previous = head.previous;
    place.next = head;
    head.previous.next = place;
    head.previous = place;
    this.#size++;
    return place;
  }

  /** Once per `begin`. */
  end(place: UnderWayPlace): void {
    place.leave();
    this.#size--;
  }

  /** For a call that has no attempt under way, and waits for the next: it ends with the mesh as well. The result lets go of it, once. */
  hold(call: Call): () => void {
    if (this.closed) call.cancel(new MeshClosedError());
    const place = this.begin(call);
    return () => this.end(place);
  }

  /** Cancels all with MESH_CLOSED. */
  close(): void {
    this.closed = true;
    const attempts: Call[] = [];
    for (let place = this.#head.next; place.attempt !== undefined; place = place.next) attempts.push(place.attempt);
    for (const attempt of attempts) attempt.cancel(new MeshClosedError());
  }
}
