import { type Ambient, withAmbient } from '../../core/ambient.js';
import { type PeerIdentity, peerOf } from '../../core/identity.js';

/** The surroundings of a request of which nothing is known but who makes it. */
class PeerAmbient implements Ambient {
  readonly deadline = Number.POSITIVE_INFINITY;
  readonly cancellation = undefined;
  readonly traceparent = undefined;
  readonly tracestate = undefined;
  readonly baggage = undefined;

  constructor(readonly peer: PeerIdentity) {}
}

/**
 * For servers that hand a request on as an event: `gate` decides, and the application then finds who is at the other end of `connection` (`mesh.peer()`). A gate's
 * answer: whether the request is to be handed on now.
 */
export function withPeer(
  connection: object | undefined,
  later: () => void,
  gate: (later: () => void) => boolean,
): boolean {
  const peer = peerOf(connection);
  if (peer === undefined) return gate(later);
  const inside = insideOf(peer, later);
  if (gate(inside)) inside();
  return false;
}

/** `run`, for which `peer` makes the request. */
export const insideOf = (peer: PeerIdentity | undefined, run: () => void): (() => void) =>
  peer === undefined ? run : () => withAmbient(new PeerAmbient(peer), run);
