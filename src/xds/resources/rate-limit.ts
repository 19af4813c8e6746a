import type { LimitKey, LimitRule } from '../../core/model/limit.js';
import { Unsupported } from './listener-unsupported.js';
import type { Message } from './message.js';
import { limitAction } from './rate-limit-action.js';

/** One entry of `rate_limits`: what makes up a descriptor, for the filters of its stage. */
export interface RateLimit {
  readonly stage: number;
  readonly key: readonly LimitKey[];
  readonly cost: LimitRule['cost'];
  /** Why nothing can be counted by it, with the place; absent: it can. */
  readonly unsupported?: string;
}

/** What a route and the virtual host around it say: neither counts without a filter. */
export interface RateLimits {
  readonly route: readonly RateLimit[];
  readonly host: readonly RateLimit[];
  /** `include_vh_rate_limits`. */
  readonly includeHost: boolean;
}

/** Which of the virtual host's limits count (`VhRateLimitsOptions`). */
export type HostLimits = 'OVERRIDE' | 'INCLUDE' | 'IGNORE';

export const hostLimits = (filter: Message): HostLimits =>
  filter.choice('vh_rate_limits', ['OVERRIDE', 'INCLUDE', 'IGNORE']);

/** "lte: 10" - the protos that have a stage */
const MAX_STAGE = 10;
const MAX_ACTIONS = 16;
/** More for one route are a mistake. */
const MAX_RATE_LIMITS = 64;
const MAX_COST = 1_000_000;
/** "lte: 1000000000" - route_components.proto, HitsAddend.number */
const MAX_HITS = 1_000_000_000;

/**
 * `rate_limits` of a route action or a virtual host. gRPC looks at none of it, and Envoy only where a filter is there for it: what is wrong by the rules of
 * the message is refused, and what we cannot count by is told where a listener's filters would count by it (`uncountable` of limit-filters.ts).
 */
export const rateLimits = (owner: Message): readonly RateLimit[] =>
  readRateLimits(owner).map(({ limit, unsupported: { first } }) =>
    first === undefined ? limit : { stage: limit.stage, key: [], cost: undefined, unsupported: first.message },
  );

/** `rate_limits` of a filter, whose word they are: what is not supported is refused with it. */
export const filterRateLimits = (filter: Message): readonly RateLimit[] =>
  readRateLimits(filter).map(({ limit, unsupported }) => {
    unsupported.throwIfAny();
    return limit;
  });

/** `route.v3.RateLimit`. Its `limit` comes from dynamic metadata, which no request has; `disable_key` is a runtime key. */
function readRateLimits(owner: Message): { readonly limit: RateLimit; readonly unsupported: Unsupported }[] {
  const entries = owner.messages('rate_limits');
  return entries.map((entry) => {
    const unsupported = new Unsupported();
    unsupported.addMoreThan(MAX_RATE_LIMITS, owner, 'rate_limits', entries.length);
    if (entry.flag('apply_on_stream_done'))
      unsupported.add(
        entry.error('apply_on_stream_done', 'is not supported: requests are counted when they come; set it to false'),
      );
    const actions = entry.messages('actions');
    // "min_items: 1" - route_components.proto
    if (actions.length === 0) throw entry.error('actions', 'must have at least one');
    unsupported.addMoreThan(MAX_ACTIONS, entry, 'actions', actions.length);
    const limit = {
      stage: checkedStage(entry, entry.uint32Value('stage') ?? 0),
      key: actions.flatMap((action) => limitAction(action, unsupported) ?? []),
      cost: hitsAddend(entry, unsupported),
    };
    return { limit, unsupported };
  });
}

export function checkedStage(owner: Message, stage: number): number {
  if (stage > MAX_STAGE) throw owner.error('stage', `must be at most ${MAX_STAGE}, got ${stage}`);
  return stage;
}

/** `HitsAddend`: a number, or a header of the request. */
function hitsAddend(entry: Message, unsupported: Unsupported): LimitRule['cost'] {
  const hits = entry.message('hits_addend');
  if (hits === undefined) return undefined;
  const number = hits.uint64Value('number');
  const format = hits.text('format');
  if (number !== undefined && format !== '') throw hits.error('', 'only one of number, format may be set');
  if (number !== undefined) {
    if (number > MAX_HITS) throw hits.error('number', `must be at most ${MAX_HITS}, got ${number}`);
    if (number > MAX_COST) unsupported.add(hits.error('number', `must be at most ${MAX_COST}, got ${number}`));
    return number;
  }
  if (format === '') return undefined;
  // "prefix: "%" suffix: "%"" - route_components.proto
  if (!format.startsWith('%') || !format.endsWith('%')) throw hits.error('format', 'must begin and end with %');
  const header = /^%REQ\(([!#$%&'*+\-.^_`|~0-9A-Za-z]+)\)%$/i.exec(format)?.[1];
  if (header === undefined) {
    unsupported.add(hits.error('format', 'must name a header of the request, as %REQ(x-cost)% does'));
    return undefined;
  }
  return { header: header.toLowerCase() };
}

/** Those of the stage that count for a route: "Use the virtual host rate limits unless the route has a rate limit policy." */
export function applicable(limits: RateLimits | undefined, stage: number, host: HostLimits): readonly RateLimit[] {
  if (limits === undefined) return [];
  const withHost = limits.includeHost || host === 'INCLUDE' || (host === 'OVERRIDE' && limits.route.length === 0);
  return [...limits.route, ...(withHost ? limits.host : [])].filter((entry) => entry.stage === stage);
}

/** Names of a descriptor's entries: rules of one filter that have the same count together, whatever route they are of. */
export const shapeOf = (key: readonly LimitKey[]): string => key.map(({ as }) => as).join('+');

/** The same name only once: in one route, two entries may look alike. */
export function distinct(name: string, taken: Set<string>): string {
  let found = name;
  for (let i = 2; taken.has(found); i++) found = `${name}#${i}`;
  taken.add(found);
  return found;
}
