import type { GrpcMatch } from '../yaml/schema/grpc-route.js';
import type { HttpMatch } from '../yaml/schema/http-route.js';

/** Where a match comes from: what decides between matches that are equally specific. */
export interface Origin {
  /** Milliseconds since the epoch; Infinity when not known. */
  readonly createdAt: number;
  readonly namespace: string;
  readonly name: string;
  readonly rule: number;
  readonly match: number;
}

/** Numbers to compare one after the other; at each place the greater one goes first. */
export type Specificity = readonly number[];

/**
 * HTTPRouteRule: "Exact" path, "Prefix" with most characters, method, most headers, most query parameters. Where a regular
 * expression stands is left open: here between the two, since it is written to pick something out of a prefix; longer ones first.
 */
export function httpSpecificity({ path, method, headers, queryParams }: HttpMatch): Specificity {
  const kind = path.type === 'Exact' ? 2 : path.type === 'RegularExpression' ? 1 : 0;
  // Which of two exact paths goes first does not matter: no request matches both.
  const length =
    path.type === 'Exact'
      ? 0
      : path.type === 'PathPrefix'
        ? withoutTrailingSlash(path.value).length
        : path.value.length;
  return [kind, length, method === undefined ? 0 : 1, headers?.length ?? 0, queryParams?.length ?? 0];
}

/** GRPCRouteRule: most characters in the service, in the method, most headers. Exact names go before expressions. */
export function grpcSpecificity({ method, headers }: GrpcMatch): Specificity {
  const exact = method !== undefined && method.type === 'Exact';
  return [exact ? 1 : 0, method?.service?.length ?? 0, method?.method?.length ?? 0, headers?.length ?? 0];
}

/** "When specified, a trailing `/` is ignored." - PathMatchPathPrefix */
export const withoutTrailingSlash = (prefix: string): string => (prefix.endsWith('/') ? prefix.slice(0, -1) : prefix);

/** Negative when `a` goes first. Total: 0 only for one and the same match. */
export function compareMatches(
  a: { specificity: Specificity; origin: Origin },
  b: { specificity: Specificity; origin: Origin },
): number {
  for (let i = 0; i < a.specificity.length; i++) {
    const difference = (b.specificity[i] ?? 0) - (a.specificity[i] ?? 0);
    if (difference !== 0) return difference;
  }
  // "The oldest Route based on creation timestamp. The Route appearing first in alphabetical order by {namespace}/{name}."
  if (a.origin.createdAt !== b.origin.createdAt) return a.origin.createdAt < b.origin.createdAt ? -1 : 1;
  return (
    compareText(`${a.origin.namespace}/${a.origin.name}`, `${b.origin.namespace}/${b.origin.name}`) ||
    a.origin.rule - b.origin.rule ||
    a.origin.match - b.origin.match
  );
}

/** By code units, the same on every machine. */
export const compareText = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);
