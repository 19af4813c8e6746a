import type { Body } from './body.js';
import type { Clock } from './clock.js';
import { CancelledError } from './errors.js';

/** Replies that nobody will read are read to their end, so that an HTTP/1.1 connection can serve again; what is long or slow is cut. */
const DISCARD_LIMIT_BYTES = 65_536;
const DISCARD_LIMIT_MS = 100;

/** Takes the rest of a reply that another attempt replaces: 64 KiB and 100 ms of it at most. */
export function discard(body: Body | undefined, clock: Clock): void {
  if (body === undefined) return;
  const cut = (): void => body.cancel(new CancelledError('a reply that another attempt replaces was cut off', 'yes'));
  const stop = clock.after(DISCARD_LIMIT_MS, cut, { background: true });
  let left = DISCARD_LIMIT_BYTES;
  body.pipe({
    write(chunk) {
      left -= chunk.byteLength;
      if (left < 0) cut();
      return left >= 0;
    },
    end: stop,
    fail: stop,
  });
}
