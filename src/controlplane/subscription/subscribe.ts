import { isFullSet, type Subscription } from './subscription.js';

/** State of the world: the whole list. "new DiscoveryRequests supersede any prior DiscoveryRequests" - xds_protocol. */
export interface WantedList {
  readonly names: readonly string[];
}

/** Incremental: what is added and taken away. */
export interface WantedChanges {
  readonly subscribe: readonly string[];
  readonly unsubscribe: readonly string[];
  /** By name: what the client has of an earlier stream. Counts in the first request of a type on a stream only. */
  readonly versions: Readonly<Record<string, string>>;
}

export type Wanted = WantedList | WantedChanges;

const EVERYTHING = '*';

/** Notes what a request says is wanted. `first`: no request of the type came before it on this stream. */
export function subscribe(subscription: Subscription, wanted: Wanted, first: boolean): void {
  if ('names' in wanted) list(subscription, wanted);
  else change(subscription, wanted, first);
}

function list(subscription: Subscription, { names: requested }: WantedList): void {
  const names = new Set(requested);
  const fullSet = isFullSet(subscription.type);
  const everything = fullSet && names.delete(EVERYTHING);
  subscription.hasNamed ||= requested.length > 0;
  // "once the client does explicitly subscribe to a resource name (whether it be "*" or any other name), then this legacy semantic
  // is no longer available" - xds_protocol, of an empty list that stands for "*".
  const wildcard = everything || (fullSet && !subscription.hasNamed);
  if (wildcard && !subscription.wildcard) subscription.wantAll();
  for (const name of subscription.names) if (!names.has(name)) subscription.drop(name);
  // "the server must resend any newly requested resources, even if it previously sent those" - xds_protocol
  for (const name of names) if (!subscription.names.has(name)) subscription.want(name);
  if (!wildcard && subscription.wildcard) subscription.dropAll();
}

function change(subscription: Subscription, { subscribe, unsubscribe, versions }: WantedChanges, first: boolean): void {
  const fullSet = isFullSet(subscription.type);
  // "having never sent a request on the stream for that resource type with a non-empty resource_names_subscribe field" - xds_protocol.
  // To name something then does not end it: "continuing the existing subscription to "*" and adding a new subscription".
  if (fullSet && first && subscribe.length === 0) subscription.wantAll();
  for (const name of subscribe) {
    // "the server must still provide those resources in the response; […] the client may have "forgotten" those resources despite
    // apparently remaining subscribed" - xds_protocol
    if (fullSet && name === EVERYTHING) subscription.wantAll();
    else subscription.want(name);
  }
  for (const name of unsubscribe) {
    if (fullSet && name === EVERYTHING) subscription.dropAll();
    else subscription.drop(name);
  }
  // "On reconnect the Incremental xDS client may tell the server of its known resources to avoid resending them" - xds_protocol
  if (first) for (const [name, version] of Object.entries(versions)) subscription.has(name, version);
}
