import type { PathMatch } from '../../core/model/match.js';
import type { PathRewrite } from '../../core/model/route.js';
import { isHeaderValue } from './header-name.js';
import type { Message } from './message.js';
import { regexSubstitute } from './string-match.js';

/**
 * `prefix_rewrite`, `regex_rewrite` or `path_redirect` of a route or redirect action. "the matched prefix (or path) should be
 * swapped with this value" - route_components.proto: for a match on a whole path or an expression that is the path as a whole.
 */
export function pathRewrite(action: Message, match: PathMatch): PathRewrite | undefined {
  switch (action.oneof('path_redirect', 'prefix_rewrite', 'regex_rewrite', 'path_rewrite_policy')) {
    case 'path_redirect':
      return { kind: 'full', value: absolute(action, 'path_redirect') };
    case 'prefix_rewrite': {
      if (match.kind === 'prefix' || match.kind === 'segments') {
        const value = action.text('prefix_rewrite');
        return { kind: 'prefix', value: value === '' ? value : absolute(action, 'prefix_rewrite') };
      }
      return { kind: 'full', value: absolute(action, 'prefix_rewrite') };
    }
    case 'regex_rewrite':
      return { kind: 'regex', ...regexSubstitute(action.required('regex_rewrite')) };
    case 'path_rewrite_policy':
      throw action.error('path_rewrite_policy', 'is not supported; use prefix_rewrite or regex_rewrite');
    default:
      return undefined;
  }
}

/** A path without its leading slash is no request target, and has been a way around authorization (CVE-2026-33186). */
function absolute(action: Message, field: string): string {
  const value = action.text(field);
  if (!value.startsWith('/') || !isHeaderValue(value)) throw action.error(field, 'must be a path that begins with "/"');
  return value;
}
