/** One unary call, as both clients are told to make it. */
export interface PlannedCall {
  /** Authority, after `xds:///`. */
  readonly target: string;
  readonly path: string;
  readonly metadata: readonly (readonly [string, string])[];
  readonly timeoutMs: number;
}

/** What came of it: the backend that answered and the attempt it was, or the gRPC status code. */
export type Outcome = string;

/** Paths that the backends serve. */
export const PATHS = ['/shop.Reviews/Get', '/shop.Reviews/List', '/shop.ratings/Get', '/SHOP.Reviews/get'] as const;
/** How often a backend refuses before it answers, as `<count>;<status>`; counted by `x-call-id`. */
export const FAIL = 'x-fail';
/** Milliseconds that a backend takes. */
export const SLEEP = 'x-sleep';
