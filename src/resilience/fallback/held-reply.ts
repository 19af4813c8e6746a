import type { Clock } from '../../core/clock.js';
import { discard } from '../../core/discard.js';
import { CancelledError } from '../../core/errors.js';
import { copyHeaders } from '../../core/headers.js';
import { localReply, type Reply } from '../../core/reply.js';

/**
 * How long the rest of a failed reply may take while something else is asked, in milliseconds: nobody reads it, its request has a place among the
 * cluster's, and the breaker is told of it at its end. As long as one that a retry replaces (core/discard.ts).
 */
export const HELD_REPLY_MS = 100;

/** What describes content (RFC 9110 section 8), and its framing: without it none of these is true. */
const OF_CONTENT = [
  'content-type',
  'content-encoding',
  'content-language',
  'content-length',
  'content-location',
  'content-range',
  'etag',
  'trailer',
  'transfer-encoding',
];

/** A reply that stands when nothing stands in for it: as it is, or its head alone when its rest took too long. */
export class HeldReply {
  #cut = false;
  #stop: (() => void) | undefined;

  constructor(
    private readonly reply: Reply,
    private readonly clock: Clock,
  ) {
    let ended = false;
    reply.onEnd(() => {
      ended = true;
      this.#stop?.();
    });
    // What has come whole waits here, and holds nothing else up.
    if (!ended) this.#stop = clock.after(HELD_REPLY_MS, () => this.cut(), { background: true });
  }

  cut(): void {
    if (this.#cut) return;
    this.#cut = true;
    this.#stop?.();
    this.reply.body.cancel(new CancelledError('a failed reply was cut off while a fallback was asked', 'yes'));
  }

  /** Something stands in for it. */
  replaced(): void {
    this.#stop?.();
    if (!this.#cut) discard(this.reply.body, this.clock);
  }

  stands(): Reply {
    this.#stop?.();
    if (!this.#cut) return this.reply;
    const headers = copyHeaders(this.reply.headers);
    for (const name of OF_CONTENT) delete headers[name];
    return localReply(this.reply.status, headers);
  }
}
