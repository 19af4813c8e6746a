import type { PathMatch } from '../core/model/match.js';
import type { PathRewrite } from '../core/model/route.js';
import { bareSegments } from './match/path.js';
import { pathOnly } from './request.js';

/** The path and query after a rewrite. The query stays, unless the rewrite brings one of its own (Envoy `path_redirect`). */
export function rewritePath(pathAndQuery: string, rewrite: PathRewrite, match: PathMatch): string {
  if (rewrite.kind === 'full' && rewrite.value.includes('?')) return rewrite.value;
  const path = pathOnly(pathAndQuery);
  return rewrittenPath(path, rewrite, match) + pathAndQuery.slice(path.length);
}

function rewrittenPath(path: string, rewrite: PathRewrite, match: PathMatch): string {
  switch (rewrite.kind) {
    case 'full':
      return rewrite.value;
    case 'regex':
      return rooted(rewrite.regex.replaceAll(path, rewrite.substitution));
    case 'prefix': {
      if (match.kind === 'regex') return path;
      const rest = path.slice(match.value.length);
      // "/foo -> /" of "/foo/bar" is "/bar", not "//bar"; of "/foo" it is "/" (Gateway API ReplacePrefixMatch).
      if (match.kind !== 'segments') return rooted(rewrite.value + rest);
      const tail = rest === '' || rest.startsWith('/') ? rest : `/${rest}`;
      return rooted(bareSegments(rewrite.value) + tail);
    }
  }
}

const rooted = (path: string): string => (path.startsWith('/') ? path : `/${path}`);
