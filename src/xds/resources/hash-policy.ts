import type { HashPolicy } from '../../core/model/route.js';
import { isHeaderName, isHeaderValue } from './header-name.js';
import type { Message } from './message.js';
import { regexSubstitute } from './string-match.js';

const KINDS = ['header', 'cookie', 'connection_properties', 'query_parameter', 'filter_state'] as const;
/** "max_bytes: 16384" - route_components.proto, CookieAttribute */
const MAX_ATTRIBUTE_BYTES = 16_384;

/** `RouteAction.hash_policy`; undefined when there are none. */
export function hashPolicies(action: Message): readonly HashPolicy[] | undefined {
  const found: HashPolicy[] = [];
  for (const policy of action.each('hash_policy')) {
    const read = hashPolicy(policy);
    if (read !== undefined) found.push(read);
  }
  return found.length === 0 ? undefined : found;
}

/** Undefined for one without a result: "For any hash policy type that gRPC does not support" - A42, which is what a newer one looks like. */
function hashPolicy(policy: Message): HashPolicy | undefined {
  const terminal = policy.flag('terminal');
  const kind = policy.oneof(...KINDS);
  if (kind === undefined) return undefined;
  const config = policy.required(kind);
  switch (kind) {
    case 'header': {
      const name = config.requiredText('header_name').toLowerCase();
      if (!isHeaderName(name.startsWith(':') ? name.slice(1) : name))
        throw config.error('header_name', 'must be a header name (RFC 9110)');
      const rewrite = config.message('regex_rewrite');
      return { kind, terminal, name, rewrite: rewrite === undefined ? undefined : regexSubstitute(rewrite) };
    }
    case 'cookie':
      return {
        kind,
        terminal,
        name: cookieName(config),
        path: cookiePath(config),
        ttlMs: config.duration('ttl'),
        attributes: config.messages('attributes').map(cookieAttribute),
      };
    case 'connection_properties':
      // It is the only property there is; without it Envoy hashes nothing.
      return config.flag('source_ip') ? { kind: 'source', terminal } : undefined;
    case 'query_parameter':
      return { kind: 'query', terminal, name: config.requiredText('name') };
    case 'filter_state':
      return { kind, terminal, key: config.requiredText('key') };
  }
}

/** A cookie's name is a token (RFC 6265). */
export function cookieName(cookie: Message): string {
  const name = cookie.requiredText('name');
  if (!isHeaderName(name)) throw cookie.error('name', 'must be the name of a cookie (RFC 6265)');
  return name;
}

/** '' when not set. */
export function cookiePath(cookie: Message): string {
  const path = cookie.text('path');
  if (!isAttributeValue(path)) throw cookie.error('path', 'must be the path of a cookie (RFC 6265)');
  return path;
}

function cookieAttribute(attribute: Message): { readonly name: string; readonly value: string } {
  const name = attribute.requiredText('name');
  const value = attribute.text('value');
  if (!isHeaderName(name) || name.length > MAX_ATTRIBUTE_BYTES)
    throw attribute.error('name', 'must be the name of an attribute (RFC 6265)');
  if (!isAttributeValue(value) || value.length > MAX_ATTRIBUTE_BYTES)
    throw attribute.error('value', 'must be the value of an attribute (RFC 6265)');
  return { name, value };
}

/** "any CHAR except CTLs or ';'" - RFC 6265 */
const isAttributeValue = (text: string): boolean => isHeaderValue(text) && !text.includes(';');
