import type { PathMatch } from '../../core/model/match.js';
import type { DirectResponseAction, RedirectAction } from '../../core/model/route.js';
import { isHost } from './header-name.js';
import type { Message } from './message.js';
import { pathRewrite } from './path-rewrite.js';

const REDIRECT_STATUS = {
  MOVED_PERMANENTLY: 301,
  FOUND: 302,
  SEE_OTHER: 303,
  TEMPORARY_REDIRECT: 307,
  PERMANENT_REDIRECT: 308,
} as const;

/** `route.v3.RedirectAction`; 301 when no code is given. */
export function redirectAction(action: Message, match: PathMatch): RedirectAction {
  const host = action.text('host_redirect');
  if (!isHost(host)) throw action.error('host_redirect', 'must be a host');
  const port = action.uint32('port_redirect');
  if (port > 65_535) throw action.error('port_redirect', `must be at most 65535, got ${port}`);
  const code = action.choice('response_code', [
    'MOVED_PERMANENTLY',
    'FOUND',
    'SEE_OTHER',
    'TEMPORARY_REDIRECT',
    'PERMANENT_REDIRECT',
  ]);
  return {
    kind: 'redirect',
    status: REDIRECT_STATUS[code],
    scheme: redirectScheme(action),
    host: host === '' ? undefined : host,
    port: port === 0 ? undefined : port,
    path: pathRewrite(action, match),
    stripQuery: action.flag('strip_query'),
  };
}

function redirectScheme(action: Message): string | undefined {
  if (action.oneof('https_redirect', 'scheme_redirect') === 'https_redirect') {
    return action.flag('https_redirect') ? 'https' : undefined;
  }
  const scheme = action.text('scheme_redirect').toLowerCase();
  if (scheme !== '' && !/^[a-z][a-z0-9+.-]*$/.test(scheme))
    throw action.error('scheme_redirect', 'must be a URI scheme (RFC 3986)');
  return scheme === '' ? undefined : scheme;
}

/** `route.v3.DirectResponseAction`. `maxBody` is `max_direct_response_body_size_bytes`, 4096 when not set. */
export function directResponseAction(action: Message, maxBody: number): DirectResponseAction {
  const status = action.uint32('status');
  if (status < 200 || status > 599) throw action.error('status', `must be a status from 200 to 599, got ${status}`);
  const body = action.message('body');
  const bytes = body === undefined ? new Uint8Array(0) : inlineData(body);
  if (bytes.length > maxBody) {
    throw action.error(
      'body',
      `must be at most ${maxBody} bytes (max_direct_response_body_size_bytes), has ${bytes.length}`,
    );
  }
  return { kind: 'direct', status, body: bytes };
}

/** `core.v3.DataSource`. A resource from outside names no file and no variable of this process: that would give them away. */
function inlineData(source: Message): Uint8Array {
  switch (source.oneof('filename', 'inline_bytes', 'inline_string', 'environment_variable')) {
    case 'inline_bytes':
      return source.bytes('inline_bytes');
    case 'inline_string':
      return Buffer.from(source.text('inline_string'), 'utf8');
    case undefined:
      return new Uint8Array(0);
    default:
      throw source.error('', 'must be inline_bytes or inline_string');
  }
}
