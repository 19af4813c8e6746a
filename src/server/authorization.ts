import type { Protocol } from '../core/call.js';
import type { MeshEvent } from '../core/meter.js';
import type { RouteAuthorization } from '../core/model/authorization.js';
import type { Route } from '../core/model/route.js';
import type { FilterChain } from '../core/model/server.js';
import { Authorizer } from '../identity/authz/authorizer.js';
import { judgedPath, pathFault } from '../identity/authz/path.js';
import type { RuleDecision } from '../identity/authz/rules.js';
import { pathOnly } from '../routing/request.js';
import { AuditTrail } from './authorization-audit.js';
import { authorityFault, InboundAuthz } from './authorization-request.js';
import type { InboundContext } from './context.js';
import type { Gate, Passage } from './gate.js';
import type { PolicyEnv } from './policies.js';
import { NOBODY_WAITS, type Refusal } from './refusal.js';
import type { SecurityPolicy } from './security.js';

const DENIED: Refusal = {
  status: 403,
  grpcStatus: 7,
  code: 'ACCESS_DENIED',
  flag: 'MZ',
  // Envoy's words.
  message: 'RBAC: access denied',
};

/** A request of which it is not certain what its handler would make. 400, as from Envoy (`path_with_escaped_slashes_action`, `normalize_path`). */
const AMBIGUOUS: Refusal = { ...DENIED, status: 400, message: 'RBAC: path or authority is ambiguous' };

/** Whether requests may be served by whom they come from (Envoy's RBAC filters, gRFC A41). One per server. */
export class Authorization implements SecurityPolicy {
  readonly #trail: AuditTrail;
  readonly #gates = new WeakMap<RouteAuthorization, AuthorizationGate>();

  constructor(private readonly env: PolicyEnv) {
    this.#trail = new AuditTrail(env);
  }

  gate(chain: FilterChain, route: Route | undefined): Gate | undefined {
    // Requests that no route takes are judged by what the listener says to all.
    const authorization = route === undefined ? chain.authorization : route.authorization;
    if (authorization === undefined) return undefined;
    if (authorization.filters.length === 0 && !authorization.judgesPath) return undefined;
    let gate = this.#gates.get(authorization);
    if (gate === undefined) {
      gate = new AuthorizationGate(authorization, this.#trail, this.env);
      this.#gates.set(authorization, gate);
    }
    return gate;
  }
}

class AuthorizationGate implements Gate {
  readonly #authorizer: Authorizer;
  readonly #judgesPath: boolean;
  /** Each request is decided about, and counted, once. */
  readonly #seen = new WeakSet<InboundContext>();
  /** What is counted for each decision: made once. */
  readonly #events = new Map<RuleDecision, MeshEvent>();

  constructor(
    { filters, judgesPath }: RouteAuthorization,
    private readonly trail: AuditTrail,
    private readonly env: PolicyEnv,
  ) {
    this.#judgesPath = judgesPath;
    this.#authorizer = new Authorizer(filters, { wallTime: () => env.clock.wallTime() }, (decision, request) => {
      if (decision.shadow) this.#count(decision);
      if (decision.audit.length > 0) trail.tell(decision, request);
    });
  }

  refusal(context: InboundContext, _protocol: Protocol): Passage {
    if (this.#seen.has(context)) return undefined;
    this.#seen.add(context);
    const { view } = context;
    if (context.isLost) return NOBODY_WAITS;
    // Nobody can say what the request is: then nobody can say that it may be served.
    if (view === undefined) return DENIED;
    const path = this.#judgesPath ? judgedPath(view.path) : pathOnly(view.path);
    const fault = path === undefined ? (pathFault(view.path) ?? 'not-canonical') : authorityFault(view);
    if (path === undefined || fault !== undefined) return this.#ambiguous(fault ?? '');
    const decision = this.#authorizer.decide(new InboundAuthz(context, view, path));
    this.#count(decision);
    return decision.allowed ? undefined : DENIED;
  }

  #ambiguous(fault: string): Refusal {
    this.env.meter.event(UNJUDGED);
    this.trail.ambiguous(fault);
    return AMBIGUOUS;
  }

  #count(decision: RuleDecision): void {
    let event = this.#events.get(decision);
    if (event === undefined) {
      const { allowed, policy = '', shadow } = decision;
      event = { kind: 'authz', decision: allowed ? 'allow' : 'deny', policy, shadow };
      this.#events.set(decision, event);
    }
    this.env.meter.event(event);
  }
}

/** A request that was refused without asking any policy. */
const UNJUDGED: MeshEvent = { kind: 'authz', decision: 'deny', policy: 'ambiguous', shadow: false };
