import type { RouteConfiguration } from '../../core/model/route.js';
import { CLUSTER, ENDPOINT, LISTENER, type Resource, type ResourceType, ROUTE } from '../../core/resources.js';
import type { Steps } from '../../core/steps.js';
import { canonicalName } from '../client/names.js';
import type { ResourceOrigin } from '../origin.js';
import { type Cluster, cluster } from './cluster.js';
import type { DecoderContext, ReadContext } from './context.js';
import { type Assignment, loadAssignment } from './endpoint.js';
import { type Listener, listener } from './listener.js';
import { Message } from './message.js';
import { routeConfiguration } from './route.js';
import { deepFreezeSteps, retainSteps } from './share.js';
import { StepBudget } from './step-budget.js';

export type { DecoderContext };

/** What each type of resource becomes. */
export interface Models {
  readonly [LISTENER]: Listener;
  readonly [ROUTE]: RouteConfiguration;
  readonly [CLUSTER]: Cluster;
  readonly [ENDPOINT]: Assignment;
}

/**
 * One resource as a frozen model value, step by step. Throws a ResourceError, and nothing else, when it must be refused. `previous` is what
 * the same name was before: what did not change is taken from it (`retain`), so that it keeps its identity.
 */
export type Decoder<T> = (resource: Resource, name: string, origin: ResourceOrigin, previous?: T) => Steps<T>;

export type Decoders = { readonly [T in ResourceType]: Decoder<Models[T]> };

export function decodersFor(context: DecoderContext): Decoders {
  return {
    [LISTENER]: decoder(LISTENER, context, listener),
    [ROUTE]: decoder(ROUTE, context, (message, { origin }) =>
      routeConfiguration(message, origin, message.text('name')),
    ),
    [CLUSTER]: decoder(CLUSTER, context, cluster),
    [ENDPOINT]: decoder(ENDPOINT, context, (message) => loadAssignment(message, { hosts: 'ip', eds: true })),
  };
}

type Reader<T> = (message: Message, context: ReadContext) => Steps<T>;

function decoder<T>(type: ResourceType, context: DecoderContext, read: Reader<T>): Decoder<T> {
  const nameField = type === ENDPOINT ? 'cluster_name' : 'name';
  return function* (resource, name, origin, previous) {
    const budget = new StepBudget();
    const message = new Message(resource, '', budget);
    const own = message.requiredText(nameField);
    // A47: an xdstp: name may have its context parameters in any order.
    if (own !== name && canonicalName(type, own) !== canonicalName(type, name))
      throw message.error(nameField, `must be the name of the resource, "${name}", got "${own}"`);
    const model = yield* deepFreezeSteps(yield* budget.renewed(read(message, { ...context, origin })));
    return previous === undefined ? model : yield* retainSteps(previous, model);
  };
}
