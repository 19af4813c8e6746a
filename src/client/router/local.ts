import type { Call } from '../../core/call.js';
import { headerFields } from '../../core/headers.js';
import type { PathMatch } from '../../core/model/match.js';
import type { DirectResponseAction, RedirectAction } from '../../core/model/route.js';
import { localReply, type Reply } from '../../core/reply.js';
import { rewritePath } from './rewrite.js';

const DEFAULT_PORTS: Readonly<Record<string, number>> = { http: 80, https: 443 };

/** Where a redirect points: what the action does not name is as the request had it (Envoy RedirectAction, Gateway API RequestRedirect). */
export function redirectReply(call: Call, action: RedirectAction, match: PathMatch): Reply {
  const scheme = action.scheme ?? call.scheme;
  const colon = call.host.lastIndexOf(':');
  const hasPort = colon > call.host.lastIndexOf(']');
  const hostname = action.host ?? (hasPort ? call.host.slice(0, colon) : call.host);
  // A port that goes with the old scheme does not go with the new one.
  const oldPort = hasPort ? Number(call.host.slice(colon + 1)) : undefined;
  const port = action.port ?? (action.scheme === undefined || action.scheme === call.scheme ? oldPort : undefined);
  const authority = port === undefined || port === DEFAULT_PORTS[scheme] ? hostname : `${hostname}:${port}`;
  let path = action.path === undefined ? call.path : rewritePath(call.path, action.path, match);
  const query = path.indexOf('?');
  if (action.stripQuery && query >= 0) path = path.slice(0, query);
  return localReply(
    action.status,
    headerFields({ location: `${scheme}://${authority}${path}`, 'content-length': '0' }),
  );
}

export function directReply(action: DirectResponseAction): Reply {
  return localReply(
    action.status,
    headerFields({ 'content-type': 'text/plain', 'content-length': String(action.body.byteLength) }),
    action.body,
  );
}
