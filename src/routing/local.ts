import { grpcStatusOfHttp, percentEncoded } from '../core/grpc-status.js';
import { type HeaderFields, headerFields } from '../core/headers.js';
import type { PathMatch } from '../core/model/match.js';
import type { DirectResponseAction, RedirectAction } from '../core/model/route.js';
import { localReply, type Reply } from '../core/reply.js';
import type { RequestView } from './request.js';
import { rewritePath } from './rewrite.js';

const NO_BODY = new Uint8Array(0);
const DEFAULT_PORTS: Readonly<Record<string, number>> = { http: 80, https: 443 };

/** What a route that answers by itself changes about its reply. */
export type ChangeReply = (reply: { readonly status: number; readonly headers: HeaderFields }) => void;

/** `route.v3.RedirectAction`: what the action does not name is as the request had it. */
export function redirectReply(
  request: RequestView,
  action: RedirectAction,
  match: PathMatch,
  change?: ChangeReply,
): Reply {
  const headers = headerFields({ location: location(request, action, match) });
  return reply(request, action.status, headers, NO_BODY, change);
}

const uri = ({ scheme, host, path }: RequestView): string => `${scheme}://${host}${path}`;

function location(request: RequestView, action: RedirectAction, match: PathMatch): string {
  const scheme = action.scheme ?? request.scheme;
  // A port that is the scheme's own is left out: "SHOULD NOT add the port number" - Gateway API HTTPRequestRedirectFilter.port.
  const port = action.port === undefined || action.port === DEFAULT_PORTS[scheme] ? '' : `:${action.port}`;
  return `${scheme}://${host(request, action, scheme)}${port}${redirectPath(request.path, action, match)}`;
}

/** Envoy's `processRequestHost`: the request's port goes when another is named, or when it is the old scheme's own and the scheme changes. */
function host({ host: asked, scheme: from }: RequestView, action: RedirectAction, to: string): string {
  if (action.host !== undefined) return action.host;
  const colon = asked.lastIndexOf(':');
  if (colon <= asked.lastIndexOf(']')) return asked;
  const dropped = action.port !== undefined || (from !== to && Number(asked.slice(colon + 1)) === DEFAULT_PORTS[from]);
  return dropped ? asked.slice(0, colon) : asked;
}

function redirectPath(asked: string, { path: rewrite, stripQuery }: RedirectAction, match: PathMatch): string {
  const path = rewrite === undefined ? asked : rewritePath(asked, rewrite, match);
  // A query that `path_redirect` brings stays, whatever `strip_query` says (Envoy).
  if (!stripQuery || (rewrite?.kind === 'full' && rewrite.value.includes('?'))) return path;
  const query = path.indexOf('?');
  return query < 0 ? path : path.slice(0, query);
}

/**
 * `route.v3.DirectResponseAction`. A body is `text/plain` unless the route's headers say what it is; without one nothing is said of it (Envoy). A 201
 * and a 3xx name the request's own URI as `location` (Envoy; for 201 it means as much as none, RFC 9110 section 15.3.2).
 */
export function directReply(request: RequestView, action: DirectResponseAction, change?: ChangeReply): Reply {
  const { status } = action;
  const headers = headerFields(
    status === 201 || (status >= 300 && status < 400) ? { location: uri(request) } : undefined,
  );
  return reply(request, status, headers, action.body, change);
}

function reply(
  request: RequestView,
  status: number,
  headers: HeaderFields,
  body: Uint8Array,
  change?: ChangeReply,
): Reply {
  if (request.protocol === 'grpc') return grpcReply(status, headers, body, change);
  change?.({ status, headers });
  if (body.byteLength === 0) {
    delete headers['content-type'];
    delete headers['content-length'];
  } else {
    headers['content-type'] ??= 'text/plain';
    headers['content-length'] = String(body.byteLength);
  }
  return localReply(status, headers, body);
}

/** To a gRPC caller the status is what it means to gRPC, and the body its message, in a head without more (Envoy `Utility::sendLocalReply`). */
function grpcReply(status: number, headers: HeaderFields, body: Uint8Array, change?: ChangeReply): Reply {
  change?.({ status: 200, headers });
  delete headers['content-length'];
  headers['content-type'] = 'application/grpc';
  headers['grpc-status'] = String(grpcStatusOfHttp(status));
  if (body.byteLength > 0) headers['grpc-message'] = percentEncoded(body);
  return localReply(200, headers);
}
