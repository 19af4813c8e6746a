import { RESOURCE_TYPES, type ResourceType } from '../../core/resources.js';
import type { Session } from '../server/session.js';
import { shortType } from '../snapshot/consistency.js';
import type { Snapshot, SnapshotResource } from '../snapshot/snapshot.js';
import type { Subscription } from '../subscription/subscription.js';

/** Names that are shown of one subscription; the count tells of the rest. */
const SHOWN_NAMES = 1_000;

const iso = (wallMs: number | undefined): string | undefined =>
  wallMs === undefined ? undefined : new Date(wallMs).toISOString();

/** One client for `/clients`. */
export function clientView(session: Session) {
  const { node, principal, peer, connectedAt, stream } = session;
  return {
    node: node.id,
    cluster: node.cluster,
    userAgent: node.userAgent,
    /** SPIFFE ID of its certificate: what it is, whatever it says. */
    principal,
    peer,
    connectedAt: iso(connectedAt),
    /** Has accepted everything of the newest configuration that it asked for. */
    synced: stream.synced,
    types: Object.fromEntries(
      [...stream.subscriptions.values()].map((it) => [shortType(it.type), subscriptionView(it)]),
    ),
  };
}

function subscriptionView({ wildcard, names, last, ackedVersion, rejection }: Subscription) {
  return {
    wildcard,
    names: [...names].slice(0, SHOWN_NAMES),
    nameCount: names.size,
    ackedVersion,
    sentVersion: last?.version,
    nonce: last?.nonce,
    answer: last?.answer,
    sentAt: iso(last?.sentAt),
    answeredAt: iso(last?.answeredAt),
    lastNack: rejection && {
      version: rejection.version,
      code: rejection.code,
      detail: rejection.message,
      at: iso(rejection.at),
    },
  };
}

export interface DumpFilter {
  /** `Cluster`, or the whole type URL. */
  readonly type: string | undefined;
  readonly name: string | undefined;
}

/** Types that a filter lets through; undefined when it names none that is served. */
export function filteredTypes({ type }: DumpFilter): readonly ResourceType[] | undefined {
  const types = RESOURCE_TYPES.filter((known) => type === undefined || type === known || type === shortType(known));
  return types.length === 0 ? undefined : types;
}

/** The snapshot as JSON, a resource at a time: a large mesh never is one string. */
export function* configDump(
  snapshot: Snapshot,
  types: readonly ResourceType[],
  name: string | undefined,
): Generator<string> {
  yield `{"version":${JSON.stringify(snapshot.version)},"types":{`;
  let firstType = true;
  for (const type of types) {
    const { version, resources } = snapshot.types[type];
    yield `${firstType ? '' : ','}\n${JSON.stringify(shortType(type))}:{"version":${JSON.stringify(version)},"resources":[`;
    firstType = false;
    let first = true;
    for (const resource of name === undefined ? resources.values() : found(resources.get(name))) {
      yield `${first ? '' : ','}\n${JSON.stringify({ name: resource.name, version: resource.version, resource: resource.resource }, bytesAsBase64)}`;
      first = false;
    }
    yield ']}';
  }
  yield '}}\n';
}

const found = (resource: SnapshotResource | undefined): readonly SnapshotResource[] =>
  resource === undefined ? [] : [resource];

/** "JSON value will be the data encoded as a string using standard base64 encoding with paddings." - proto3 JSON, of bytes. */
function bytesAsBase64(_key: string, value: unknown): unknown {
  return value instanceof Uint8Array ? Buffer.from(value).toString('base64') : value;
}
