import { cidrRange } from './cidr.js';
import { headerMatch } from './header-match.js';
import type { Message } from './message.js';
import { stringMatch } from './string-match.js';

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

/** `config.rbac.v3.Permission`. One that is not understood is refused, as it cannot be left out of a policy. */
export function checkPermission(permission: Message): void {
  const rule = permission.oneof(...RULES);
  switch (rule) {
    case 'and_rules':
    case 'or_rules':
      return members(permission.required(rule), 'rules').forEach(checkPermission);
    case 'not_rule':
      return checkPermission(permission.required(rule));
    case 'destination_ip':
      cidrRange(permission.required(rule));
      return;
    case 'destination_port': {
      const port = permission.uint32(rule);
      if (port > 65_535) throw permission.error(rule, `must be at most 65535, got ${port}`);
      return;
    }
    case 'requested_server_name':
      stringMatch(permission.required(rule));
      return;
    case 'any':
    case 'header':
    case 'url_path':
    case 'metadata':
      return checkCommon(permission, rule);
    default:
      throw permission.error('', `must have one of ${RULES.join(', ')} (gRFC A41)`);
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
export function checkPrincipal(principal: Message): void {
  const identifier = principal.oneof(...IDENTIFIERS);
  switch (identifier) {
    case 'and_ids':
    case 'or_ids':
      return members(principal.required(identifier), 'ids').forEach(checkPrincipal);
    case 'not_id':
      return checkPrincipal(principal.required(identifier));
    case 'authenticated': {
      const name = principal.required(identifier).message('principal_name');
      if (name !== undefined) stringMatch(name);
      return;
    }
    case 'source_ip':
    case 'direct_remote_ip':
    case 'remote_ip':
      cidrRange(principal.required(identifier));
      return;
    case 'any':
    case 'header':
    case 'url_path':
    case 'metadata':
      return checkCommon(principal, identifier);
    default:
      throw principal.error('', `must have one of ${IDENTIFIERS.join(', ')} (gRFC A41)`);
  }
}

/** What permissions and principals have in common. */
function checkCommon(owner: Message, name: 'any' | 'header' | 'url_path' | 'metadata'): void {
  switch (name) {
    case 'any':
      // "const: true" - rbac.proto
      if (!owner.flag(name)) throw owner.error(name, 'must be true');
      return;
    case 'header':
      return checkHeader(owner.required(name));
    case 'url_path':
      stringMatch(owner.required(name).required('path'));
      return;
    case 'metadata':
      // "guaranteed not to match" (gRFC A41), whatever it holds; only invert counts.
      owner.required(name).flag('invert');
  }
}

/** gRFC A41: a failure when it is "for a grpc--prefixed header name or :scheme". Names of headers have no case. */
function checkHeader(matcher: Message): void {
  const name = matcher.text('name').toLowerCase();
  if (name === ':scheme' || name.startsWith('grpc-'))
    throw matcher.error('name', `must not be :scheme, nor begin with "grpc-", got "${name.slice(0, 80)}" (gRFC A41)`);
  headerMatch(matcher);
}

/** "min_items: 1" - rbac.proto */
function members(set: Message, name: 'rules' | 'ids'): Message[] {
  const found = set.messages(name);
  if (found.length === 0) throw set.error(name, 'must have at least one');
  return found;
}
