import type { SnapshotResource } from '../snapshot/snapshot.js';
import type { Available } from './held.js';
import { type Difference, isFullSet, type Subscription } from './subscription.js';

/** What a response has to carry. */
export interface Plan {
  readonly version: string;
  readonly resources: readonly SnapshotResource[];
  /**
   * Names that do not exist: in the incremental protocol all that the client has or asked for, in the other what it asked for by name,
   * and LDS and CDS only, for no other type is asked for before something has named it.
   */
  readonly absent: readonly string[];
  /** What the client knows afterwards and did not before. */
  readonly difference: Difference;
}

/**
 * Resources of one response, in bytes; what is more goes out in the next, when this one was answered. Half of what a gRPC client takes
 * in one message when nobody has told it otherwise (4 MiB). LDS and CDS in state of the world cannot be divided.
 */
const MAX_RESPONSE_BYTES = 2 * 1024 * 1024;

/** What the client must be sent so that it has all that it wants of `available`; undefined when it has. */
export function plan(subscription: Subscription, available: Available): Plan | undefined {
  if (!isSpeechDue(subscription, available)) return undefined;
  const { version } = available;
  const { incremental, names, type } = subscription;
  const divisible = incremental || !isFullSet(type);
  const difference = subscription.difference(available, divisible ? MAX_RESPONSE_BYTES : Number.POSITIVE_INFINITY);
  const { changed, gone } = difference;
  if (divisible) return { version, resources: changed, absent: gone, difference };
  // Absence means deletion, so a response holds everything that is wanted, changed or not.
  const resources = subscription.wildcard
    ? [...available.values()].filter(({ name }) => subscription.wants(name))
    : existing(names, available);
  return { version, resources, absent: gone.filter((name) => names.has(name)), difference };
}

/** Whether there is something to say. */
export function isSpeechDue(subscription: Subscription, available: Available): boolean {
  // The first request of LDS and CDS is answered even when there is nothing: an Envoy waits for the answer before it starts to listen.
  if (subscription.last === undefined && isFullSet(subscription.type)) return true;
  return subscription.isDue(available);
}

function existing(names: Iterable<string>, available: Available): SnapshotResource[] {
  const found: SnapshotResource[] = [];
  for (const name of names) {
    const resource = available.get(name);
    if (resource !== undefined) found.push(resource);
  }
  return found;
}
