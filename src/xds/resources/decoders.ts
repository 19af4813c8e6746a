import type { RouteConfiguration } from '../../core/model/route.js';
import { CLUSTER, ENDPOINT, LISTENER, type Resource, type ResourceType, ROUTE } from '../../core/resources.js';
import type { Steps } from '../../core/steps.js';
import type { ResourceOrigin } from '../origin.js';
import { type Cluster, cluster } from './cluster.js';
import type { DecoderContext } from './context.js';
import { type Assignment, loadAssignment } from './endpoint.js';
import { type Listener, listener } from './listener.js';
import { Message } from './message.js';
import { routeConfiguration } from './route.js';
import { deepFreeze } from './share.js';

export type { DecoderContext };

/** What each type of resource becomes. */
export interface Models {
  readonly [LISTENER]: Listener;
  readonly [ROUTE]: RouteConfiguration;
  readonly [CLUSTER]: Cluster;
  readonly [ENDPOINT]: Assignment;
}

/** One resource as a frozen model value, step by step. Throws a ResourceError, and nothing else, when it must be refused. */
export type Decoder<T> = (resource: Resource, name: string, origin: ResourceOrigin) => Steps<T>;

export type Decoders = { readonly [T in ResourceType]: Decoder<Models[T]> };

export function decodersFor(context: DecoderContext): Decoders {
  return {
    [LISTENER]: decoder('name', (message) => listener(message, context)),
    [ROUTE]: decoder('name', inOneStep(routeConfiguration)),
    [CLUSTER]: decoder(
      'name',
      inOneStep((message) => cluster(message, context)),
    ),
    [ENDPOINT]: decoder(
      'cluster_name',
      inOneStep((message) => loadAssignment(message, { hosts: 'ip', eds: true })),
    ),
  };
}

type Reader<T> = (message: Message, origin: ResourceOrigin) => Steps<T>;

function decoder<T>(nameField: string, read: Reader<T>): Decoder<T> {
  return function* (resource, name, origin) {
    const message = new Message(resource, '');
    const own = message.requiredText(nameField);
    if (own !== name) throw message.error(nameField, `must be the name of the resource, "${name}", got "${own}"`);
    return deepFreeze(yield* read(message, origin));
  };
}

function inOneStep<T>(read: (message: Message, origin: ResourceOrigin) => T): Reader<T> {
  // biome-ignore lint/correctness/useYield: there is nowhere to pause
  return function* (message, origin) {
    return read(message, origin);
  };
}
