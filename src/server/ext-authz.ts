import { derivedAmbient, withAmbient } from '../core/ambient.js';
import type { Downstream } from '../core/call.js';
import { grpcStatusOfHttp } from '../core/grpc-status.js';
import { appendHeader, type HeaderFields, headerFields } from '../core/headers.js';
import type { ExtAuthz } from '../core/model/ext-authz.js';
import type { Route } from '../core/model/route.js';
import { type Checker, checker } from '../identity/ext-authz/checker.js';
import type { CheckSubject, CheckVerdict } from '../identity/ext-authz/verdict.js';
import { judgedPath } from '../identity/authz/path.js';
import type { InboundContext } from './context.js';
import type { Gate, Passage } from './gate.js';
import { lastAsking } from './last-asking.js';
import { NO_OUTBOUND } from './outbound.js';
import type { PeekedBody } from './peek-body.js';
import type { PolicyEnv } from './policies.js';
import { NOBODY_WAITS, type Refusal } from './refusal.js';
import type { SecurityPolicy } from './security.js';
import type { InboundView } from './view.js';

/** Somebody else is asked whether a request may pass (Envoy `ext_authz`). */
export function externalAuthorization(env: PolicyEnv): SecurityPolicy {
  const gates = new WeakMap<ExtAuthz, Gate>();
  const gateOf = (config: ExtAuthz): Gate => {
    let gate = gates.get(config);
    if (gate === undefined) {
      gate = new ExtAuthzGate(config, env);
      gates.set(config, gate);
    }
    return gate;
  };
  return {
    gate(chain, route, routes) {
      const elsewhere = () => chain.extAuthz ?? lastAsking(chain, routes, asks)?.extAuthz;
      const [first, ...others] = ((route === undefined ? elsewhere() : route.extAuthz) ?? []).map(gateOf);
      return first === undefined || others.length === 0 ? first : new InTurn([first, ...others]);
    },
  };
}

const asks = ({ extAuthz }: Route): boolean => extAuthz !== undefined;

/** Each filter of a listener is asked, and must let the request through. */
class InTurn implements Gate {
  constructor(private readonly gates: readonly Gate[]) {}

  async refusal(context: InboundContext, protocol: Parameters<Gate['refusal']>[1]): Promise<Passage> {
    for (const gate of this.gates) {
      const refusal = await gate.refusal(context, protocol);
      if (refusal !== undefined) return refusal;
    }
    return undefined;
  }
}

/** Asks about each request once, however often it is looked at. */
class ExtAuthzGate implements Gate {
  readonly #seen = new WeakSet<InboundContext>();
  readonly #check: Checker;
  /** The service does not answer: told once, until it does. */
  #failing = false;

  constructor(
    private readonly config: ExtAuthz,
    private readonly env: PolicyEnv,
  ) {
    this.#check = checker(config, env.outbound ?? NO_OUTBOUND);
  }

  refusal(context: InboundContext): Passage | Promise<Passage> {
    const { view } = context;
    if (view === undefined || this.#seen.has(context)) return undefined;
    this.#seen.add(context);
    if (context.isLost) return NOBODY_WAITS;
    // The service would be asked about something else than the handler is.
    if (judgedPath(view.path) === undefined) return AMBIGUOUS;
    const { share, denyOthers, body } = this.config;
    if (share < 1 && this.env.random.next() >= share) return denyOthers ? NOT_ASKED : undefined;
    if (body === undefined) return this.#ask(context, view, undefined);
    // That it was not asked is no failure of the service's, which could let anybody in.
    const peeking = view.peek?.(body.maxBytes);
    if (peeking === undefined) return body.partial ? this.#ask(context, view, UNSEEN) : NOT_SHOWN;
    return peeking.then((peeked) =>
      context.isLost ? NOBODY_WAITS : peeked.partial && !body.partial ? TOO_LARGE : this.#ask(context, view, peeked),
    );
  }

  #ask(context: InboundContext, view: InboundView, body: PeekedBody | undefined): Promise<Passage> {
    return asOurs(context, () => this.#check(this.#subject(context, view, body))).then(
      (verdict) => {
        if (this.#failing) {
          this.#failing = false;
          this.env.logger.info('external authorization answers again', { filter: this.config.name });
        }
        return decided(verdict, context, view);
      },
      (error: unknown) => this.#failed(context, error),
    );
  }

  #subject(context: InboundContext, view: InboundView, body: PeekedBody | undefined): CheckSubject {
    const { method, path, host, scheme, headers } = view;
    const { downstream } = view as Partial<{ readonly downstream: Downstream }>;
    return {
      method,
      path,
      host,
      scheme,
      protocol: downstream?.protocol ?? (view.protocol === 'grpc' ? 'HTTP/2' : ''),
      headers,
      source: endpoint(downstream?.remote, view.peer),
      destination: endpoint(downstream?.local, undefined),
      principal: context.peer?.spiffeId,
      ownPrincipal: undefined,
      at: this.env.clock.wallTime(),
      body,
      context: this.config.context,
    };
  }

  #failed(context: InboundContext, error: unknown): Passage {
    const { name, onFailure, failureHeader, failureStatus } = this.config;
    if (!this.#failing) {
      this.#failing = true;
      const what = onFailure === 'allow' ? 'requests pass without its word' : 'requests are refused';
      this.env.logger.warn(`external authorization does not answer: ${what}`, { filter: name, error: String(error) });
    }
    if (onFailure === 'deny')
      return refused(failureStatus, 'the authorization service does not answer', headerFields(), undefined);
    if (failureHeader) context.addRequestHeaders(headerFields({ 'x-envoy-auth-failure-mode-allowed': 'true' }));
    return undefined;
  }
}

/**
 * With the request's trace, and nothing else that its client says: neither how long it waits, nor how important it is, nor whether it is tried again. A client that could
 * make the check fail could let itself in (`failure_mode_allow`).
 */
const asOurs = <T>(context: InboundContext, ask: () => T): T =>
  withAmbient(context, () => {
    const deadline = Number.POSITIVE_INFINITY;
    const nothing = { allowedMs: undefined, cancellation: undefined, lifetime: undefined, priority: undefined };
    return withAmbient(derivedAmbient({ deadline, ...nothing, retried: false }), ask);
  });

function decided(verdict: CheckVerdict, context: InboundContext, view: InboundView): Passage {
  if (verdict.kind === 'denied') {
    const { status, headers, body } = verdict;
    return refused(status, 'the authorization service refuses the request', headers, body);
  }
  const { headers } = view;
  const changed: HeaderFields = headerFields();
  for (const name of verdict.remove) changed[name] = [];
  for (const name in verdict.addIfAbsent)
    if (headers[name] === undefined) changed[name] = verdict.addIfAbsent[name] as string | string[];
  for (const name in verdict.set) changed[name] = verdict.set[name] as string | string[];
  for (const name in verdict.append) {
    changed[name] ??= [...[headers[name] ?? []].flat()];
    for (const value of [verdict.append[name] as string | string[]].flat()) appendHeader(changed, name, value);
  }
  // For policies that come after, and for the handler.
  for (const name in changed) {
    const value = changed[name] as string | string[];
    if (value.length === 0) delete headers[name];
    else headers[name] = value;
  }
  context.addRequestHeaders(changed);
  context.replyHeaders ??= headerFields();
  for (const name in verdict.reply) appendAll(context.replyHeaders, name, verdict.reply[name] as string | string[]);
  return undefined;
}

const appendAll = (fields: HeaderFields, name: string, value: string | string[]): void => {
  for (const one of [value].flat()) appendHeader(fields, name, one);
};

const refused = (status: number, message: string, headers: HeaderFields, body: Uint8Array | undefined): Refusal => ({
  status,
  grpcStatus: grpcStatusOfHttp(status) || PERMISSION_DENIED,
  code: 'ACCESS_DENIED',
  // "The request was denied by the external authorization service." - Envoy
  flag: 'UAEX',
  message,
  headers,
  ...(body !== undefined && body.byteLength > 0 && { body }),
});

const PERMISSION_DENIED = 7;
const NOT_ASKED = refused(
  403,
  'external authorization is disabled, and nothing passes without it',
  headerFields(),
  undefined,
);
/** "the request is … rejected with 413" - ext_authz.proto, allow_partial_message */
const TOO_LARGE = refused(413, 'the body is longer than the authorization service is shown', headerFields(), undefined);

const NOT_SHOWN = refused(
  403,
  'the authorization service has to be shown the body of this request, which cannot be done',
  headerFields(),
  undefined,
);
/** Nothing of a body of which there may be more. */
const UNSEEN: PeekedBody = { bytes: new Uint8Array(0), partial: true };
const AMBIGUOUS: Refusal = { ...refused(400, 'the path is ambiguous', headerFields(), undefined), flag: 'MZ' };

/** `ip:port`, IPv6 in brackets; or an address alone. */
function endpoint(text: string | undefined, alone: string | undefined): CheckSubject['source'] {
  const parts = text === undefined ? null : /^\[?(.+?)\]?:(\d+)$/.exec(text);
  if (parts !== null) return { address: parts[1] as string, port: Number(parts[2]) };
  return alone === undefined ? undefined : { address: alone, port: 0 };
}
