import type { CallPolicy } from '../core/call-policy.js';
import { DEFAULT_HEDGE, DEFAULT_RETRY, type ForwardAction, type RetryConfig } from '../core/model/route.js';
import type { Service } from '../core/service.js';

const NOTHING: RetryConfig['on'] = new Set();

/** The route's action as one call would have it. */
export function actionFor(action: ForwardAction, policy: CallPolicy | undefined): ForwardAction {
  if (policy === undefined) return action;
  return { ...action, retry: retryFor(action, policy), hedge: hedgeFor(action, policy) };
}

function retryFor({ retry }: ForwardAction, { retry: asked }: CallPolicy): RetryConfig | undefined {
  if (asked === undefined) return retry;
  const configured = retry ?? DEFAULT_RETRY;
  if (asked === false) return { ...configured, on: NOTHING, maxRetries: 0 };
  // A route that never retries says nothing of how.
  const { on, maxRetries } = configured.on.size === 0 ? DEFAULT_RETRY : configured;
  // What the route allows for every method, it allows as it says it: a call's own word has no more than what is safe.
  const changed = { ...configured, on, maxRetries, regardlessOfMethod: false, ...asked };
  return { ...changed, baseMs: Math.min(changed.baseMs, changed.maxMs) };
}

function hedgeFor({ hedge }: ForwardAction, { hedge: asked }: CallPolicy): ForwardAction['hedge'] {
  if (asked === undefined) return hedge;
  return asked === false ? undefined : { ...DEFAULT_HEDGE, ...hedge, ...asked };
}

/** A service for calls that say nothing, made now, and one for each policy that calls bring along, made at the first that does. */
export function byCallPolicy(make: (policy: CallPolicy | undefined) => Service): Service {
  const standard = make(undefined);
  const services = new WeakMap<CallPolicy, Service>();
  return (call) => {
    const { policy } = call;
    if (policy === undefined) return standard(call);
    let service = services.get(policy);
    if (service === undefined) {
      service = make(policy);
      services.set(policy, service);
    }
    return service(call);
  };
}
