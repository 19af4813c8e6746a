import { CLUSTER, ENDPOINT, LISTENER, type Resource, type ResourceType, ROUTE } from '../../core/resources.js';
import { type Cluster, cluster } from './cluster.js';
import { type Assignment, loadAssignment } from './endpoint.js';
import { type Listener, listener } from './listener.js';
import { Message } from './message.js';
import { type RouteConfiguration, routeConfiguration } from './route.js';
import { deepFreeze } from './share.js';

/** What each type of resource becomes. */
export interface Models {
  readonly [LISTENER]: Listener;
  readonly [ROUTE]: RouteConfiguration;
  readonly [CLUSTER]: Cluster;
  readonly [ENDPOINT]: Assignment;
}

/** One resource as a frozen model value. Throws a ResourceError, and nothing else, when it must be refused. */
export type Decoder<T> = (resource: Resource, name: string) => T;

export const decoders: { readonly [T in ResourceType]: Decoder<Models[T]> } = {
  [LISTENER]: decoder('name', listener),
  [ROUTE]: decoder('name', routeConfiguration),
  [CLUSTER]: decoder('name', cluster),
  [ENDPOINT]: decoder('cluster_name', (message) => loadAssignment(message, { hosts: 'ip', eds: true })),
};

function decoder<T>(nameField: string, read: (message: Message) => T): Decoder<T> {
  return (resource, name) => {
    const message = new Message(resource, '');
    const own = message.requiredText(nameField);
    if (own !== name) throw message.error(nameField, `must be the name of the resource, "${name}", got "${own}"`);
    return deepFreeze(read(message));
  };
}
