import { type Ambient, type Claims, withAmbient } from '../../core/ambient.js';
import { type PeerIdentity, peerOf } from '../../core/identity.js';

/** Who makes a request, and for whom: all that its server knows of it where no middleware looks. */
export class Requester {
  /** Written by the server, once gates have verified it. */
  caller: { readonly claims?: Claims | undefined } | undefined;

  constructor(readonly peer: PeerIdentity | undefined) {}

  /** Runs `run` so that it finds both (`mesh.peer()`, `mesh.claims()`). */
  inside(run: () => void): void {
    if (this.isUnknown) run();
    else withAmbient(new Surroundings(this.peer, this.caller), run);
  }

  get isUnknown(): boolean {
    return this.peer === undefined && this.caller?.claims === undefined;
  }
}

class Surroundings implements Ambient {
  readonly deadline = Number.POSITIVE_INFINITY;
  readonly cancellation = undefined;
  readonly traceparent = undefined;
  readonly tracestate = undefined;
  readonly baggage = undefined;

  constructor(
    readonly peer: PeerIdentity | undefined,
    readonly caller: Requester['caller'],
  ) {}
}

/**
 * For servers that hand a request on as an event: `gate` decides, and the application then finds who is at the other end of `connection`, and for whom the request
 * is made, where the gate has found that out. A gate's answer: whether the request is to be handed on now.
 */
export function withPeer(
  connection: object | undefined,
  later: () => void,
  gate: (later: () => void, requester: Requester) => boolean,
): boolean {
  const requester = new Requester(peerOf(connection));
  if (!gate(() => requester.inside(later), requester)) return false;
  if (requester.isUnknown) return true;
  requester.inside(later);
  return false;
}
