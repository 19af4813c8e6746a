import type { SnapshotResource, TypeSnapshot } from '../snapshot/snapshot.js';
import { isFullSet, type Subscription } from './subscription.js';

/** What a response has to carry. */
export interface Plan {
  readonly version: string;
  readonly resources: readonly SnapshotResource[];
  /** Names asked for that do not exist. LDS and CDS only: no other type is asked for before something has named it. */
  readonly absent: readonly string[];
}

/** What the client must be sent so that it has all that it wants of `available`; undefined when it has. */
export function plan(subscription: Subscription, available: TypeSnapshot): Plan | undefined {
  return isFullSet(subscription.type) ? fullSet(subscription, available) : additions(subscription, available);
}

/** LDS and CDS: absence means deletion, so a response holds everything that is wanted, changed or not. */
function fullSet(subscription: Subscription, { version, resources: all }: TypeSnapshot): Plan | undefined {
  const { wildcard, names, sent, last } = subscription;
  const resources = wildcard ? [...all.values()] : existing(names, all);
  const absent = [...names].filter((name) => !all.has(name));
  const same =
    resources.length === sent.size &&
    resources.every((resource) => sent.get(resource.name) === resource.version) &&
    absent.every((name) => subscription.absent.has(name));
  // The first request is answered even when there is nothing: an Envoy waits for the answer before it starts to listen.
  return same && last !== undefined ? undefined : { version, resources, absent };
}

/** All other types: absence says nothing, so a response holds what the client lacks; what does not exist is not answered. */
function additions({ names, sent }: Subscription, { version, resources: all }: TypeSnapshot): Plan | undefined {
  const resources = existing(names, all).filter((resource) => sent.get(resource.name) !== resource.version);
  return resources.length === 0 ? undefined : { version, resources, absent: [] };
}

function existing(names: Iterable<string>, all: ReadonlyMap<string, SnapshotResource>): SnapshotResource[] {
  const found: SnapshotResource[] = [];
  for (const name of names) {
    const resource = all.get(name);
    if (resource !== undefined) found.push(resource);
  }
  return found;
}
