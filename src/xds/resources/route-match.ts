import type { PathMatch, RouteMatch } from '../../core/model/match.js';
import { headerMatch } from './header-match.js';
import type { Message } from './message.js';
import { runtimeFraction } from './percent.js';
import { sourceMatch } from './source-match.js';
import { queryMatch, regexMatcher } from './string-match.js';

/**
 * `route.v3.RouteMatch`; undefined when it asks for what no call can have: conditions on what other filters found (`dynamic_metadata`,
 * `filter_state`), of which there are none but the caller. To ignore only the condition would send calls where they must not go; gRFC A28 ignores
 * the whole route too where it cannot evaluate a match ("always evaluates to false"). Of `tls_context` it says otherwise: "This matcher will be
 * ignored (but the other matchers in the route will be evaluated)".
 */
export function routeMatch(match: Message): RouteMatch | undefined {
  const { source, unknown } = sourceMatch(match);
  const found: RouteMatch = {
    path: pathMatch(match),
    headers: match.messages('headers').map(headerMatch),
    query: match.messages('query_parameters').map(queryMatch),
    fraction: runtimeFraction(match.message('runtime_fraction')),
    grpcOnly: match.has('grpc'),
    source,
  };
  return unknown || match.has('filter_state') ? undefined : found;
}

function pathMatch(match: Message): PathMatch {
  // "Defaults to true" - route_components.proto, case_sensitive
  const ignoreCase = match.boolValue('case_sensitive') === false;
  switch (
    match.oneof('prefix', 'path', 'safe_regex', 'connect_matcher', 'path_separated_prefix', 'path_match_policy')
  ) {
    case 'prefix':
      return { kind: 'prefix', value: match.text('prefix'), ignoreCase };
    case 'path':
      return { kind: 'exact', value: match.text('path'), ignoreCase };
    case 'path_separated_prefix': {
      const value = match.text('path_separated_prefix');
      if (!/^[^?#]+[^?#/]$/.test(value)) {
        throw match.error(
          'path_separated_prefix',
          'must have two characters or more, no "?" or "#", and not end in "/"',
        );
      }
      return { kind: 'segments', value, ignoreCase };
    }
    case 'safe_regex':
      return { kind: 'regex', regex: regexMatcher(match.required('safe_regex')) };
    default:
      throw match.error('', 'must have one of prefix, path, path_separated_prefix, safe_regex');
  }
}
