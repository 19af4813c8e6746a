import { CLUSTER, ENDPOINT, LISTENER, type Resource, type ResourceType, ROUTE } from '../../core/resources.js';
import { type Cluster, cluster } from './cluster.js';
import { type Assignment, loadAssignment } from './endpoint.js';
import { type Listener, listener } from './listener.js';
import { Message } from './message.js';
import type { RouteConfiguration } from '../../core/model/route.js';
import { routeConfiguration } from './route.js';
import { deepFreeze } from './share.js';
import type { ResourceOrigin } from '../origin.js';
import type { Steps } from '../../core/steps.js';

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

/** What decoding depends on beside the resource: the bootstrap's word. */
export interface DecoderContext {
  /** Instance names in `certificate_providers`; a TLS context that names another is refused (gRFC A29). */
  readonly certificateProviders: ReadonlySet<string>;
}

export function decodersFor(_context: DecoderContext): Decoders {
  return {
    [LISTENER]: decoder('name', listener),
    [ROUTE]: decoder('name', routeConfiguration),
    [CLUSTER]: decoder('name', cluster),
    [ENDPOINT]: decoder('cluster_name', (message) => loadAssignment(message, { hosts: 'ip', eds: true })),
  };
}

function decoder<T>(nameField: string, read: (message: Message, origin: ResourceOrigin) => T): Decoder<T> {
  // biome-ignore lint/correctness/useYield: steps come with the readers
  return function* (resource, name, origin) {
    const message = new Message(resource, '');
    const own = message.requiredText(nameField);
    if (own !== name) throw message.error(nameField, `must be the name of the resource, "${name}", got "${own}"`);
    return deepFreeze(read(message, origin));
  };
}
