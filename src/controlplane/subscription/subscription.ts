import { CLUSTER, LISTENER, type ResourceType } from '../../core/resources.js';

/** What one DiscoveryRequest says about one type. */
export interface SubscriptionRequest {
  readonly names: readonly string[];
  /** Nonce of the response that it answers; empty when it answers none. */
  readonly nonce: string;
  /** Its presence, never a version, says that the response was refused. */
  readonly error: { readonly code: number; readonly message: string } | undefined;
}

/** The last response of the type on this stream. */
export interface LastResponse {
  readonly nonce: string;
  readonly version: string;
  /** What it carried. */
  readonly resources: readonly string[];
  /** Wall time in milliseconds when it was written, and when it was answered. */
  readonly sentAt: number;
  readonly answeredAt: number | undefined;
  readonly answer: 'none' | 'acked' | 'rejected';
}

/** The last refusal, kept after later versions were accepted so that an operator can still read it. */
export interface Rejection {
  readonly version: string;
  readonly code: number;
  readonly message: string;
  readonly at: number;
}

/**
 * What one client wants of one type, what it was sent, and what it said to that: for the life of one stream. A plain value; each
 * function here makes the next one.
 */
export interface Subscription {
  readonly type: ResourceType;
  /** Everything of the type is wanted, whatever its name. LDS and CDS only. */
  readonly wildcard: boolean;
  /** What was asked for by name. */
  readonly names: ReadonlySet<string>;
  /** Something was named on this stream, so that an empty list no longer means everything. */
  readonly hasNamed: boolean;
  /** Versions by name of what was sent and is still wanted, refused or not: the same again would be refused again. */
  readonly sent: ReadonlyMap<string, string>;
  /** Names of which the client was told that they do not exist. */
  readonly absent: ReadonlySet<string>;
  /** Names among `sent` of which the client may still have what it had before: they came in a response that it refused. */
  readonly refused: ReadonlySet<string>;
  readonly last: LastResponse | undefined;
  /** Version accepted last. */
  readonly ackedVersion: string | undefined;
  readonly rejection: Rejection | undefined;
}

export type RequestOutcome =
  /** Answers an older response than the last: nothing is to be sent for it. */
  | 'stale'
  | 'acked'
  | 'rejected'
  /** Says only what is wanted. */
  | 'subscribed';

/** LDS and CDS: "the server must include the complete state of the world" - xds_protocol, Grouping Resources into Responses. */
export const isFullSet = (type: ResourceType): boolean => type === LISTENER || type === CLUSTER;

/** The state of a type before its first request on a stream. */
export const noSubscription = (type: ResourceType): Subscription => ({
  type,
  wildcard: false,
  names: new Set(),
  hasNamed: false,
  sent: new Map(),
  absent: new Set(),
  refused: new Set(),
  last: undefined,
  ackedVersion: undefined,
  rejection: undefined,
});

/** A response that is not answered yet: nothing more of this type is to be pushed. */
export const isOutstanding = (subscription: Subscription): boolean => subscription.last?.answer === 'none';

/** Applies a request that arrived at wall time `at`. */
export function receive(
  before: Subscription,
  request: SubscriptionRequest,
  at: number,
): { readonly subscription: Subscription; readonly outcome: RequestOutcome } {
  const { last } = before;
  const wanted = subscribe(before, request.names);
  if (last === undefined) return { subscription: wanted, outcome: 'subscribed' };
  if (request.nonce !== '' && request.nonce !== last.nonce) {
    // "The management server should not send a DiscoveryResponse for any DiscoveryRequest that has a stale nonce." - xds_protocol. It
    // is noted all the same: a name that is dropped in this request and comes back in the next one has to be sent again.
    return { subscription: wanted, outcome: 'stale' };
  }
  // Clients that subscribe before they have read a response send no nonce.
  if (request.nonce === '' || last.answer !== 'none') return { subscription: wanted, outcome: 'subscribed' };
  const refused = new Set(wanted.refused);
  if (request.error === undefined) {
    for (const name of last.resources) refused.delete(name);
    return {
      subscription: {
        ...wanted,
        refused,
        last: { ...last, answer: 'acked', answeredAt: at },
        ackedVersion: last.version,
      },
      outcome: 'acked',
    };
  }
  for (const name of last.resources) if (wanted.sent.has(name)) refused.add(name);
  return {
    subscription: {
      ...wanted,
      refused,
      last: { ...last, answer: 'rejected', answeredAt: at },
      rejection: { version: last.version, code: request.error.code, message: request.error.message, at },
    },
    outcome: 'rejected',
  };
}

/** The newest request's names are the whole subscription. */
function subscribe(before: Subscription, requested: readonly string[]): Subscription {
  const names = new Set(requested);
  const star = isFullSet(before.type) && names.delete('*');
  const hasNamed = before.hasNamed || requested.length > 0;
  // "once the client does explicitly subscribe to a resource name (whether it be "*" or any other name), then this legacy semantic
  // is no longer available" - xds_protocol, of an empty list that stands for "*".
  const wildcard = star || (isFullSet(before.type) && !hasNamed);
  if (wildcard === before.wildcard && sameNames(names, before.names)) {
    return hasNamed === before.hasNamed ? before : { ...before, hasNamed };
  }
  const sent = new Map<string, string>();
  for (const [name, version] of before.sent) {
    // "the server must resend any newly requested resources, even if it previously sent those": `sent` forgets them.
    if (names.has(name) ? before.names.has(name) : wildcard) sent.set(name, version);
  }
  const absent = new Set([...before.absent].filter((name) => names.has(name)));
  const refused = new Set([...before.refused].filter((name) => sent.has(name)));
  return { ...before, wildcard, names, hasNamed, sent, absent, refused };
}

function sameNames(a: ReadonlySet<string>, b: ReadonlySet<string>): boolean {
  if (a.size !== b.size) return false;
  for (const name of a) if (!b.has(name)) return false;
  return true;
}

/** What `responded` has to know of a response. */
export interface Written {
  readonly nonce: string;
  readonly version: string;
  readonly resources: readonly { readonly name: string; readonly version: string }[];
  /** Names that the response says do not exist, now or earlier. */
  readonly absent: readonly string[];
  /** Wall time in milliseconds. */
  readonly at: number;
}

/** After a response was written. For LDS and CDS its resources are all that the client now has; for others they add to that. */
export function responded(before: Subscription, { nonce, version, resources, absent, at }: Written): Subscription {
  const sent = new Map(isFullSet(before.type) ? undefined : before.sent);
  for (const resource of resources) sent.set(resource.name, resource.version);
  const names = resources.map(({ name }) => name);
  const last: LastResponse = { nonce, version, resources: names, sentAt: at, answeredAt: undefined, answer: 'none' };
  const refused = new Set([...before.refused].filter((name) => sent.has(name)));
  return { ...before, sent, absent: new Set(absent), refused, last };
}

/** As though `names` had never been sent: they go out again with the next response. */
export function forget(before: Subscription, names: Iterable<string>): Subscription {
  const sent = new Map(before.sent);
  for (const name of names) sent.delete(name);
  return sent.size === before.sent.size ? before : { ...before, sent };
}
