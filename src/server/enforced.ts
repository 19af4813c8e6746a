import { isDeepStrictEqual } from 'node:util';
import type { FilterChain } from '../core/model/server.js';
import type { Caller } from './caller.js';
import type { InboundContext } from './context.js';
import type { Gate } from './gate.js';

/** Policies of a listener, as a request meets them. */
export interface Policies {
  /** Of the listener. */
  readonly name: string;
  readonly chain: FilterChain;
}

/** What a request has met, by the request as its server has it. */
const met = new WeakMap<object, Policies[]>();

/** For whom a request is made, as gates of its server have found out: for middleware that looks at the same request after them. */
export const callers = new WeakMap<object, Caller>();

/**
 * Whether a request was held to the policies of a listener already: by the server that was handed its connection, or by middleware before, and now by
 * middleware. Of another version, too: a connection keeps the one that it began with. A service has a listener under each of its names
 * (`inmesh.dev/inbound/reviews`, `…/reviews:80`); those are one by what they say.
 */
export const alreadyEnforced = (raw: object, { name, chain }: Policies): boolean =>
  met.get(raw)?.some((other) => other.name === name || same(other.chain, chain)) ?? false;

/** Takes down that a request has come to the gates of a listener. */
export const enforcing = (policies: Policies): Gate => ({
  refusal({ view }: InboundContext): undefined {
    if (view === undefined) return;
    const before = met.get(view.raw);
    if (before === undefined) met.set(view.raw, [policies]);
    else before.push(policies);
  },
});

/** Of chains that met in a request: compared once, not with each. */
const compared = new WeakMap<FilterChain, WeakMap<FilterChain, boolean>>();

function same(a: FilterChain, b: FilterChain): boolean {
  const known = compared.get(a) ?? new WeakMap<FilterChain, boolean>();
  compared.set(a, known);
  let answer = known.get(b);
  if (answer === undefined) {
    answer = isDeepStrictEqual(a, b);
    known.set(b, answer);
  }
  return answer;
}
