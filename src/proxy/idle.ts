import type { ServerHttp2Session } from 'node:http2';
import type { Clock } from '../core/clock.js';

/** How often in an idle timeout it is looked whether anything went over the connection: it ends at most that part of it late. */
const LOOKS = 4;

/** Runs `idle`, once, when nothing has gone over a client's session for `idleMs` milliseconds, or a quarter of that longer (Envoy's stream and connection idle timeouts). */
export function whenIdle(session: ServerHttp2Session, idleMs: number, clock: Clock, idle: () => void): void {
  const { socket } = session;
  const everyMs = idleMs / LOOKS;
  let bytes = 0;
  let quiet = 0;
  let stop = (): void => {};
  const look = (): void => {
    if (session.destroyed) return;
    const now = socket.bytesRead + socket.bytesWritten;
    quiet = now === bytes ? quiet + 1 : 0;
    bytes = now;
    if (quiet >= LOOKS) idle();
    else stop = clock.after(everyMs, look, { background: true });
  };
  stop = clock.after(everyMs, look, { background: true });
  session.once('close', () => stop());
}
