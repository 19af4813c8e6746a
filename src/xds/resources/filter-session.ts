import type { SessionPersistence } from '../../core/model/route.js';
import { extension } from './any.js';
import { cookieName, cookiePath } from './hash-policy.js';
import { isHeaderName } from './header-name.js';
import type { Message } from './message.js';

const COOKIE = 'envoy.extensions.http.stateful_session.cookie.v3.CookieBasedSessionState';
const HEADER = 'envoy.extensions.http.stateful_session.header.v3.HeaderBasedSessionState';

/** `StatefulSession` (gRFC A55; `strict` is Envoy's). Undefined: no session, unless a route has one of its own. */
export function statefulSession(filter: Message): SessionPersistence | undefined {
  const state = filter.message('session_state');
  if (state === undefined) return undefined;
  const config = state.required('typed_config');
  const { kind, type, message } = extension(config);
  const strict = filter.flag('strict') || undefined;
  if (kind === 'message' && type === COOKIE) return { ...cookieSession(message.required('cookie')), strict };
  if (kind === 'message' && type === HEADER) {
    const name = message.requiredText('name').toLowerCase();
    if (!isHeaderName(name)) throw message.error('name', 'must be a header name (RFC 9110)');
    return { kind: 'header', name, strict };
  }
  // "has to be the value type.googleapis.com/…CookieBasedSessionState" - A55; Envoy knows the other too.
  throw state.error('typed_config', `must be a ${COOKIE} or ${HEADER}, got "${type}" (gRFC A55)`);
}

/** "if not present, then the default is root", and "ttl is optional and if present has to be non-negative" - A55 */
function cookieSession(cookie: Message): SessionPersistence {
  return {
    kind: 'cookie',
    name: cookieName(cookie),
    path: cookiePath(cookie) || '/',
    ttlMs: cookie.duration('ttl') ?? 0,
  };
}

/** `StatefulSessionPerRoute`: another session, or undefined for none. */
export function sessionOverride(override: Message): SessionPersistence | undefined {
  switch (override.oneof('disabled', 'stateful_session')) {
    case 'disabled':
      // "const: true" - stateful_session.proto
      if (!override.flag('disabled')) throw override.error('disabled', 'must be true');
      return undefined;
    case 'stateful_session':
      return statefulSession(override.required('stateful_session'));
    default:
      throw override.error('', 'must have disabled or stateful_session');
  }
}
