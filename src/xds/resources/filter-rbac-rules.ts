import type { AuthzCondition } from '../../core/model/authorization.js';
import { cidrRange } from './cidr.js';
import { claimCondition, requestPrincipal, timeCondition } from './filter-rbac-own.js';
import { headerMatch } from './header-match.js';
import type { Message } from './message.js';
import { stringMatch } from './string-match.js';

/** What both permissions and principals can be, besides and, or, not; the last three only in `inmesh.dev/rbac`. */
const COMMON = ['any', 'header', 'url_path', 'metadata'] as const;
const OWN = ['time', 'claim', 'request_principal'] as const;

/** Members of the oneof `Permission.rule` that gRFC A41 gives a meaning. */
const RULES = [
  'and_rules',
  'or_rules',
  'not_rule',
  'any',
  'header',
  'url_path',
  'destination_ip',
  'destination_port',
  'metadata',
  'requested_server_name',
] as const;

/** `config.rbac.v3.Permission`. One that is not understood is refused, as it cannot be left out of a policy. `own`: with what we add. */
export function readPermission(permission: Message, own: boolean): AuthzCondition {
  const rule = permission.oneof(...RULES, ...(own ? OWN : []));
  const read = (inner: Message): AuthzCondition => readPermission(inner, own);
  switch (rule) {
    case 'and_rules':
      return { kind: 'and', of: members(permission.required(rule), 'rules').map(read) };
    case 'or_rules':
      return { kind: 'or', of: members(permission.required(rule), 'rules').map(read) };
    case 'not_rule':
      return { kind: 'not', of: read(permission.required(rule)) };
    case 'destination_ip':
      return { kind: 'destination-ip', range: cidrRange(permission.required(rule)) };
    case 'destination_port': {
      const port = permission.uint32(rule);
      if (port > 65_535) throw permission.error(rule, `must be at most 65535, got ${port}`);
      return { kind: 'destination-port', port };
    }
    case 'requested_server_name':
      return { kind: 'server-name', match: stringMatch(permission.required(rule)) };
    case undefined:
      throw permission.error('', `must have one of ${RULES.join(', ')} (gRFC A41)`);
    default:
      return common(permission, rule);
  }
}

/** Members of the oneof `Principal.identifier` that gRFC A41 gives a meaning. */
const IDENTIFIERS = [
  'and_ids',
  'or_ids',
  'not_id',
  'any',
  'authenticated',
  'source_ip',
  'direct_remote_ip',
  'remote_ip',
  'header',
  'url_path',
  'metadata',
] as const;

/** `config.rbac.v3.Principal`. */
export function readPrincipal(principal: Message, own: boolean): AuthzCondition {
  const identifier = principal.oneof(...IDENTIFIERS, ...(own ? OWN : []));
  const read = (inner: Message): AuthzCondition => readPrincipal(inner, own);
  switch (identifier) {
    case 'and_ids':
      return { kind: 'and', of: members(principal.required(identifier), 'ids').map(read) };
    case 'or_ids':
      return { kind: 'or', of: members(principal.required(identifier), 'ids').map(read) };
    case 'not_id':
      return { kind: 'not', of: read(principal.required(identifier)) };
    case 'authenticated': {
      const name = principal.required(identifier).message('principal_name');
      return { kind: 'authenticated', name: name && stringMatch(name) };
    }
    case 'source_ip':
    case 'direct_remote_ip':
      return { kind: 'peer-ip', range: cidrRange(principal.required(identifier)) };
    case 'remote_ip':
      return { kind: 'remote-ip', range: cidrRange(principal.required(identifier)) };
    case undefined:
      throw principal.error('', `must have one of ${IDENTIFIERS.join(', ')} (gRFC A41)`);
    default:
      return common(principal, identifier);
  }
}

function common(owner: Message, name: (typeof COMMON)[number] | (typeof OWN)[number]): AuthzCondition {
  switch (name) {
    case 'any':
      // "const: true" - rbac.proto
      if (!owner.flag(name)) throw owner.error(name, 'must be true');
      return { kind: 'any' };
    case 'header':
      return { kind: 'header', header: readHeader(owner.required(name)) };
    case 'url_path':
      return { kind: 'path', match: stringMatch(owner.required(name).required('path')) };
    case 'metadata':
      // "guaranteed not to match" (gRFC A41), whatever it holds; only invert counts.
      return { kind: 'metadata', invert: owner.required(name).flag('invert') };
    case 'time':
      return timeCondition(owner.required(name));
    case 'claim':
      return claimCondition(owner.required(name));
    case 'request_principal':
      return requestPrincipal(owner.required(name));
  }
}

/** gRFC A41: a failure when it is "for a grpc--prefixed header name or :scheme". Names of headers have no case. */
function readHeader(matcher: Message): ReturnType<typeof headerMatch> {
  const name = matcher.text('name').toLowerCase();
  if (name === ':scheme' || name.startsWith('grpc-'))
    throw matcher.error('name', `must not be :scheme, nor begin with "grpc-", got "${name.slice(0, 80)}" (gRFC A41)`);
  return headerMatch(matcher);
}

/** "min_items: 1" - rbac.proto */
function members(set: Message, name: 'rules' | 'ids'): Message[] {
  const found = set.messages(name);
  if (found.length === 0) throw set.error(name, 'must have at least one');
  return found;
}
