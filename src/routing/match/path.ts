import type { PathMatch } from '../../core/model/match.js';

/** True for a match that every path satisfies. */
export const matchesAllPaths = (path: PathMatch): boolean =>
  (path.kind === 'prefix' || path.kind === 'segments') && (path.value === '/' || path.value === '');

/** What stands before the boundary of a `segments` match: a trailing slash is not significant (Gateway API PathPrefix). */
export const bareSegments = (value: string): string => (value.endsWith('/') ? value.slice(0, -1) : value);

/** Compiles a path match; its test is given the path without its query. */
export function pathTest(match: PathMatch): (path: string) => boolean {
  if (match.kind === 'regex') return (path) => match.regex.matches(path);
  const value = match.ignoreCase ? match.value.toLowerCase() : match.value;
  const folded = (path: string): string => (match.ignoreCase ? path.toLowerCase() : path);
  switch (match.kind) {
    case 'exact':
      return (path) => folded(path) === value;
    case 'prefix':
      return (path) => folded(path).startsWith(value);
    case 'segments': {
      // "/foo matches /foo and /foo/bar, not /foobar" - Gateway API.
      const bare = bareSegments(value);
      return (path) => atBoundary(path, bare.length) && folded(path).startsWith(bare);
    }
  }
}

/** A segment of the path ends at `at`. */
export const atBoundary = (path: string, at: number): boolean => path.length === at || path[at] === '/';
