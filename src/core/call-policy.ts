import { DecodeError, knownKeys, number, shown, whole } from './decode.js';
import { type FallbackFunction, type FallbackReply, readFallbackReply } from './fallback.js';
import type { HedgeConfig, RetryCondition, RetryConfig } from './model/route.js';
import { isResponse } from './platform.js';

/** Of one call, in place of what its route says; what is left out is the route's, else the default. */
export interface RetryOptions {
  /** Attempts after the first, 1 to 10. */
  readonly maxRetries?: number;
  /** Limit of each attempt in milliseconds, up to the head of its reply. */
  readonly perTryTimeoutMs?: number;
  /** On what the call is tried again, by Envoy's names (`retry_on`). */
  readonly on?: readonly RetryCondition[];
  /** HTTP statuses for `retriable-status-codes`. */
  readonly statusCodes?: readonly number[];
  /** First wait at most, in milliseconds; the longest is ten times that when it is not given (gRFC A44). */
  readonly baseMs?: number;
  readonly maxMs?: number;
}

/** Of one call, in place of what its route says. */
export interface HedgeOptions {
  /** Attempts at most, the first included; 2 to 5. */
  readonly maxAttempts?: number;
  /** Milliseconds after which the next one goes out. Without it, and without one of the route's: the live `percentile`. */
  readonly delayMs?: number;
  /** Share of the destination's calls that are answered by then, 0.01 to 0.9999. */
  readonly percentile?: number;
  /** Extra load at most, in share of the calls that say so; above 0, up to 1. */
  readonly maxExtraLoad?: number;
}

/** What the caller knows better than the configuration. Budgets, circuit limits and breakers hold all the same: they protect others. */
export interface CallPolicyOptions {
  /** false: never. Whether a call may be sent twice at all is said by `idempotent`. */
  readonly retry?: false | RetryOptions;
  /** false: never. */
  readonly hedge?: false | HedgeOptions;
  /** What answers when nobody does, in place of what the configuration names; false: nothing. */
  readonly fallback?: false | FallbackFunction | FallbackReply;
}

/** The same, checked. One object for each distinct value, so that what is composed by it is composed once. */
export interface CallPolicy {
  readonly retry: false | Partial<RetryConfig> | undefined;
  readonly hedge: false | Partial<HedgeConfig> | undefined;
  /** The call brings a fallback of its own, or wants none. */
  readonly ownFallback: boolean;
}

export interface CallChoices {
  readonly policy: CallPolicy | undefined;
  readonly fallback: FallbackFunction | FallbackReply | undefined;
}

export const CALL_POLICY_KEYS = ['retry', 'hedge', 'fallback'] as const satisfies readonly (keyof CallPolicyOptions)[];

const NO_CHOICES: CallChoices = Object.freeze({ policy: undefined, fallback: undefined });
const HOUR_MS = 3_600_000;
/** Who tries longer than that has another problem; gRFC A6 ends at 4. */
const MAX_RETRIES = 10;
/** Distinct policies that are kept; an application has a handful. At this many, all are forgotten. */
const MAX_POLICIES = 256;
const MAX_STATUSES = 100;

/** All there are, each once: the type holds the list complete. */
const CONDITIONS: Readonly<Record<RetryCondition, true>> = {
  '5xx': true,
  'gateway-error': true,
  reset: true,
  'reset-before-request': true,
  'connect-failure': true,
  'refused-stream': true,
  'retriable-4xx': true,
  'retriable-status-codes': true,
  'retriable-headers': true,
  'envoy-ratelimited': true,
  cancelled: true,
  'deadline-exceeded': true,
  internal: true,
  'resource-exhausted': true,
  unavailable: true,
};

interface Read {
  readonly of: CallPolicyOptions;
  readonly choices: CallChoices;
}

/** By options object: one that is used for many calls is read once. `of`: what it said then. */
const known = new WeakMap<object, Read>();
const policies = new Map<string, CallPolicy>();

/** Throws DecodeError for what cannot be meant. */
export function readCallPolicy(given: CallPolicyOptions, path: string): CallChoices {
  const { retry, hedge, fallback } = given;
  if (retry === undefined && hedge === undefined && fallback === undefined) return NO_CHOICES;
  const before = known.get(given);
  if (before !== undefined) {
    const { of } = before;
    if (of.retry === retry && of.hedge === hedge && of.fallback === fallback) return before.choices;
  }
  const choices: CallChoices = {
    policy: policyOf(readRetry(retry, `${path}.retry`), readHedge(hedge, `${path}.hedge`), fallback !== undefined),
    fallback: readFallback(fallback, `${path}.fallback`),
  };
  known.set(given, { of: { ...given }, choices });
  return choices;
}

/** What a call says over what its client does, field by field. */
export function narrowed(client: CallChoices, call: CallChoices): CallChoices {
  if (client.policy === undefined) return call;
  if (call.policy === undefined) return client;
  const { retry, hedge, ownFallback } = call.policy;
  return {
    policy: policyOf(
      over(client.policy.retry, retry),
      over(client.policy.hedge, hedge),
      ownFallback || client.policy.ownFallback,
    ),
    fallback: ownFallback ? call.fallback : client.fallback,
  };
}

/** What the call leaves out is the client's. */
const over = <T extends object>(client: false | T | undefined, call: false | T | undefined): false | T | undefined => {
  if (call === undefined) return client;
  return call === false || client === false || client === undefined ? call : { ...client, ...call };
};

function policyOf(retry: CallPolicy['retry'], hedge: CallPolicy['hedge'], ownFallback: boolean): CallPolicy {
  const key = JSON.stringify([retry, hedge, ownFallback], (_, value: unknown) =>
    value instanceof Set ? [...value].sort() : value,
  );
  let policy = policies.get(key);
  if (policy === undefined) {
    if (policies.size >= MAX_POLICIES) policies.clear();
    policy = Object.freeze({ retry, hedge, ownFallback });
    policies.set(key, policy);
  }
  return policy;
}

function readRetry(given: unknown, path: string): CallPolicy['retry'] {
  if (given === undefined || given === false) return given;
  const o = recordOrFalse(given, path);
  knownKeys(o, path, ['maxRetries', 'perTryTimeoutMs', 'on', 'statusCodes', 'baseMs', 'maxMs']);
  const baseMs = optional(o['baseMs'], (value) => number(value, `${path}.baseMs`, 1, HOUR_MS));
  const maxMs = optional(o['maxMs'], (value) => number(value, `${path}.maxMs`, 1, HOUR_MS));
  if (baseMs !== undefined && maxMs !== undefined && maxMs < baseMs)
    throw new DecodeError(`${path}.maxMs`, `must not be less than baseMs, ${baseMs}, got ${maxMs}`);
  return present({
    maxRetries: optional(o['maxRetries'], (value) => whole(value, `${path}.maxRetries`, 1, MAX_RETRIES)),
    perTryTimeoutMs: optional(o['perTryTimeoutMs'], (value) => number(value, `${path}.perTryTimeoutMs`, 1, HOUR_MS)),
    on: optional(o['on'], (value) => new Set(list(value, `${path}.on`, condition))),
    statusCodes: optional(o['statusCodes'], (value) => new Set(list(value, `${path}.statusCodes`, status))),
    baseMs,
    maxMs: maxMs ?? (baseMs === undefined ? undefined : 10 * baseMs),
  });
}

function readHedge(given: unknown, path: string): CallPolicy['hedge'] {
  if (given === undefined || given === false) return given;
  const o = recordOrFalse(given, path);
  knownKeys(o, path, ['maxAttempts', 'delayMs', 'percentile', 'maxExtraLoad']);
  const percentile = optional(o['percentile'], (value) => number(value, `${path}.percentile`, 0.01, 0.9999));
  const delayMs = optional(o['delayMs'], (value) => number(value, `${path}.delayMs`, 0, HOUR_MS));
  if (percentile !== undefined && delayMs !== undefined)
    throw new DecodeError(path, 'give only one of delayMs and percentile: each says when the next attempt goes out');
  const when = percentile === undefined && delayMs === undefined ? {} : { delayMs, onPerTryTimeout: false };
  return {
    // The route's own delay does not count where the call names another, or a percentile.
    ...when,
    ...present({
      maxAttempts: optional(o['maxAttempts'], (value) => whole(value, `${path}.maxAttempts`, 2, 5)),
      percentile,
      maxExtraLoad: optional(o['maxExtraLoad'], (value) => number(value, `${path}.maxExtraLoad`, 0.0001, 1)),
    }),
  };
}

function readFallback(given: unknown, path: string): CallChoices['fallback'] {
  if (given === undefined || given === false) return undefined;
  if (typeof given === 'function') return given as FallbackFunction;
  if (isResponse(given))
    throw new DecodeError(
      path,
      'a Response can be read once: give a function that makes one, or { status, headers, body }',
    );
  if (typeof given !== 'object' || given === null)
    throw new DecodeError(path, `must be false, a function or a reply, got ${shown(given)}`);
  return readFallbackReply(given, path);
}

function recordOrFalse(given: unknown, path: string): Record<string, unknown> {
  if (typeof given !== 'object' || given === null || Array.isArray(given))
    throw new DecodeError(path, `must be false or an object, got ${shown(given)}`);
  return given as Record<string, unknown>;
}

const status = (value: unknown, path: string): number => whole(value, path, 200, 599);

function condition(value: unknown, path: string): RetryCondition {
  if (typeof value === 'string' && Object.hasOwn(CONDITIONS, value)) return value as RetryCondition;
  throw new DecodeError(path, `must be one of ${Object.keys(CONDITIONS).join(', ')}, got ${shown(value)}`);
}

function list<T>(value: unknown, path: string, item: (value: unknown, path: string) => T): T[] {
  if (!Array.isArray(value) || value.length === 0 || value.length > MAX_STATUSES)
    throw new DecodeError(path, `must be a list of 1 to ${MAX_STATUSES}, got ${shown(value)}`);
  return value.map((one, i) => item(one, `${path}[${i}]`));
}

const optional = <T>(value: unknown, read: (value: unknown) => T): T | undefined =>
  value === undefined ? undefined : read(value);

/** Without the fields that are undefined, so that they leave alone what they are spread over. */
const present = <T extends object>(fields: T): { [K in keyof T]?: Exclude<T[K], undefined> } =>
  Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as never;
