import type { Protocol } from '../../core/call.js';
import type { Cors } from '../../routing/cors.js';
import type { InboundContext } from '../context.js';
import { type Gate, type Passage, pass } from '../gate.js';
import type { Refusal } from '../refusal.js';
import type { Decision, Refuse, Serve } from './chain-routes.js';
import type { BindChanges } from './header-changes.js';

/**
 * What becomes of one request where routes match by claims: decided once its tokens are verified. Until then its route is the one that it would have without any, which says what is
 * asked of tokens, and of browsers (Envoy's jwt_authn with `clear_route_cache`; Istio's routing by `@request.auth.claims`).
 */
export class ClaimedRoute implements Serve, Gate {
  readonly kind = 'serve';
  readonly gates: readonly Gate[] = [this];
  readonly cors: Cors | undefined;
  /** The route without claims, until there are some. */
  #now: Serve;

  /** `first`: what finds out who calls, of the route without claims. `choose`: by the claims that the context has then. */
  constructor(
    without: Serve,
    private readonly first: readonly Gate[],
    private readonly choose: (context: InboundContext) => Decision,
  ) {
    this.#now = without;
    this.cors = without.cors;
  }

  get requestHeaders(): BindChanges | undefined {
    return this.#now.requestHeaders;
  }

  get responseHeaders(): BindChanges | undefined {
    return this.#now.responseHeaders;
  }

  refusal(context: InboundContext, protocol: Protocol): Passage | Promise<Passage> {
    const known = pass(this.first, context, protocol);
    if (known instanceof Promise) return known.then((refusal) => refusal ?? this.#routed(context, protocol));
    return known ?? this.#routed(context, protocol);
  }

  #routed(context: InboundContext, protocol: Protocol): Passage | Promise<Passage> {
    const decision = this.choose(context);
    if (decision.kind === 'refuse') return unrouted(decision);
    this.#now = decision;
    return pass(decision.gates ?? [], context, protocol);
  }

  handled(context: InboundContext): void {
    for (const gate of this.#now.gates ?? []) gate.handled?.(context);
  }

  withdrawn(context: InboundContext): void {
    for (const gate of this.#now.gates ?? []) gate.withdrawn?.(context);
  }
}

const unrouted = ({ reason, message }: Refuse): Refusal => ({
  status: reason === 'no-route' ? 404 : 503,
  grpcStatus: 14,
  code: 'NO_ROUTE',
  flag: 'NR',
  message,
});
