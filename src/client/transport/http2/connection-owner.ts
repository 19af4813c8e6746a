import type { MeshError } from '../../../core/errors.js';
import type { Connection } from './connection.js';

/** What a connection tells the transport that owns it. */
export interface ConnectionOwner {
  /** There may be room for a stream: the connection became usable, a stream ended, or the server has changed its limit. */
  available(connection: Connection): void;
  /** Was usable and takes no new streams any more: GOAWAY, idle, worn out, lost. Streams under way may still finish. */
  draining(connection: Connection): void;
  /** It is no more; `error` when it never became usable. */
  gone(connection: Connection, error: MeshError | undefined): void;
  /** "the client should double the keepalive time" - gRFC A8, on a GOAWAY with ENHANCE_YOUR_CALM and too_many_pings. */
  tooManyPings(): void;
}
