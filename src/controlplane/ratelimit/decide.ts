import type { LimitState, LimitStore } from '../../core/limits.js';
import type { Meter } from '../../core/meter.js';
import {
  RLS_OK,
  RLS_OVER_LIMIT,
  type RlsDescriptor,
  type RlsPair,
  type RlsRequest,
  type RlsResponse,
  type RlsStatus,
} from '../../core/rls.js';
import { type DescriptorLimit, findLimit, type LimitTable, type LimitWindow, windowOf } from './table.js';

/** What a request is that cannot be answered. */
export class UnanswerableRequest extends Error {
  override readonly name = 'UnanswerableRequest';
}

/** What of one descriptor is counted. */
interface Count {
  readonly rule: string;
  readonly key: string;
  readonly window: LimitWindow;
  readonly name: string;
  readonly shadow: boolean;
}

export interface DecideEnv {
  readonly store: LimitStore;
  readonly meter: Meter;
}

const UNLIMITED: RlsStatus = {
  code: RLS_OK,
  currentLimit: undefined,
  // As envoyproxy/ratelimit says it.
  limitRemaining: 4_294_967_295,
  resetMs: undefined,
};
const NO_LIMIT: RlsStatus = { ...UNLIMITED, limitRemaining: 0 };

/**
 * Answers a request as envoyproxy/ratelimit does. Each descriptor that has a limit counts by itself, whatever the others say, and one that is over its limit
 * refuses the request. A domain or a descriptor that nobody configured limits nothing. Throws UnanswerableRequest, and rejects when the store does.
 */
export async function decide(table: LimitTable, request: RlsRequest, env: DecideEnv): Promise<RlsResponse> {
  if (request.domain === '') throw new UnanswerableRequest('the domain is empty');
  if (request.descriptors.length === 0) throw new UnanswerableRequest('there is no descriptor');
  const found = request.descriptors.map((it) => limitFor(table, request.domain, it));
  const replaced = new Set(found.flatMap((it) => it?.limit.replaces ?? []));
  const statuses = await Promise.all(
    found.map((it, i) => {
      if (it === undefined || (it.limit.name !== '' && replaced.has(it.limit.name))) return NO_LIMIT;
      const { limit, counted } = it;
      if (limit.window === undefined) return UNLIMITED;
      const key = keyOf(request.domain, counted, limit.window.limit.perMs);
      // "If the value is not set in the message, a request increases the matched limit by 1."
      const hits = request.descriptors[i]?.hitsAddend ?? Math.max(1, request.hitsAddend);
      return count({ ...limit, key, window: limit.window }, hits, env);
    }),
  );
  const over = statuses.some(({ code }) => code === RLS_OVER_LIMIT);
  return {
    overallCode: over ? RLS_OVER_LIMIT : RLS_OK,
    statuses,
    responseHeaders: [],
    requestHeaders: [],
    rawBody: new Uint8Array(0),
  };
}

/** A limit that comes with the request takes the place of any that is configured, where the domain is (`limit_override`). */
function limitFor(
  table: LimitTable,
  domain: string,
  { entries, limit: own }: RlsDescriptor,
): { readonly limit: DescriptorLimit; readonly counted: readonly RlsPair[] } | undefined {
  const descriptors = table.get(domain);
  if (descriptors === undefined) return undefined;
  if (own === undefined) return findLimit(descriptors, entries);
  const window = windowOf(own.requestsPerUnit, own.unit);
  if (window === undefined) throw new UnanswerableRequest(`a descriptor has a limit of unit ${own.unit}`);
  // By keys only: values come from anywhere, and a metric has one series for each rule.
  const rule = [domain, ...entries.map(([key]) => key), '(override)'].join('.');
  return { limit: { rule, window, name: '', replaces: [], shadow: false }, counted: entries };
}

async function count({ rule, key, window, name, shadow }: Count, hits: number, env: DecideEnv): Promise<RlsStatus> {
  const { limit } = window;
  const state = await env.store.take(key, limit, hits);
  const allowed = hits === 0 ? state.remaining > 0 : state.allowed;
  if (!allowed) {
    if (hits > 1) await useUp(key, limit, state, env.store);
    env.meter.event({ kind: 'limit:refused', rule, protocol: 'grpc', shadow, reason: 'limit' });
  }
  return {
    code: allowed || shadow ? RLS_OK : RLS_OVER_LIMIT,
    currentLimit: { name, requestsPerUnit: limit.requests, unit: window.unit },
    limitRemaining: allowed ? state.remaining : 0,
    // In whole seconds from 1 on, as envoyproxy/ratelimit counts: Envoy cuts off what is less, and a reset of 0 is none.
    resetMs: Math.max(1, Math.ceil(state.resetMs / 1_000)) * 1_000,
  };
}

/**
 * A request that asks for more than is left gets nothing and leaves nothing: envoyproxy/ratelimit adds its hits first and looks then. Who counts what was
 * used afterwards (tokens of a reply) depends on it.
 */
async function useUp(key: string, limit: LimitWindow['limit'], state: LimitState, store: LimitStore): Promise<void> {
  if (state.remaining > 0) await store.take(key, limit, state.remaining);
}

/** What counts together: unambiguous whatever the values are, and another when the window is. */
const keyOf = (domain: string, entries: readonly RlsPair[], perMs: number): string =>
  JSON.stringify([domain, perMs, ...entries.flat()]);
