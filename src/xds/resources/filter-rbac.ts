import type {
  AuditLogger,
  AuditOptions,
  AuthzCondition,
  RbacFilter,
  RbacPolicy,
  RbacRules,
} from '../../core/model/authorization.js';
import { runToEnd, type Steps } from '../../core/steps.js';
import { type Extension, extension } from './any.js';
import { readPermission, readPrincipal } from './filter-rbac-rules.js';
import { type Message, ResourceError } from './message.js';
import { onlyFields, ownConfig } from './own-config.js';

/** The one logger that gRFC A59 builds in, and the mesh's own: its logger, and a diagnostics channel. */
const STDOUT_LOGGER = 'envoy.extensions.rbac.audit_loggers.stream.v3.StdoutAuditLog';
export const OWN_LOGGER = 'inmesh.dev/audit-log';

/** What a filter, or in place of it a route, asks of requests. */
export type Rbac = Omit<RbacFilter, 'name'>;

/** `extensions.filters.http.rbac.v3.RBACPerRoute`; without `rbac` it switches the filter off. */
export function* rbacOverride(override: Message): Steps<Rbac> {
  const rbac = override.message('rbac');
  return rbac === undefined ? {} : yield* rbacFilter(rbac);
}

/** `extensions.filters.http.rbac.v3.RBAC` by the rules of gRFC A41 and A59. */
export function* rbacFilter(filter: Message): Steps<Rbac> {
  // A policy in another language: to ignore it would be to let everybody in.
  if (filter.has('matcher')) throw filter.error('matcher', 'is not supported; use rules');
  return { ...(yield* rulesOf(filter, false)), ...shadowOf(filter) };
}

/** `inmesh.dev/rbac`, as a filter and as an override alike. Of ours nothing is let pass that is wrong. */
export function* ownRbac(found: Extension): Steps<Rbac> {
  const filter = ownConfig(found);
  onlyFields(filter, ['rules', 'shadow_rules']);
  const shadow = filter.message('shadow_rules');
  const rules = yield* rulesOf(filter, true);
  return { ...rules, ...(shadow !== undefined && { shadow: yield* readRules(shadow, true) }) };
}

function* rulesOf(filter: Message, own: boolean): Steps<Rbac> {
  const rules = filter.message('rules');
  return rules === undefined ? {} : { rules: yield* readRules(rules, own) };
}

/** Shadow rules decide nothing ("will not be supported", gRFC A41): what is wrong with them is no reason to refuse a listener that gRPC takes. */
function shadowOf(filter: Message): Rbac {
  const shadow = filter.has('shadow_rules') ? filter.message('shadow_rules') : undefined;
  if (shadow === undefined) return {};
  try {
    return { shadow: runToEnd(readRules(shadow, false)) };
  } catch (error) {
    if (error instanceof ResourceError) return {};
    throw error;
  }
}

function* readRules(rules: Message, own: boolean): Steps<RbacRules> {
  const action = rules.choice('action', ['ALLOW', 'DENY', 'LOG']);
  const policies: RbacPolicy[] = [];
  for (const [name, policy] of rules.map('policies')) policies.push(yield* readPolicy(name, policy, own));
  // A map has no order; Envoy's is that of the names.
  policies.sort((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0));
  const audit = rules.message('audit_logging_options');
  return { action, policies, ...(audit !== undefined && { audit: readAudit(audit) }) };
}

function* readPolicy(name: string, policy: Message, own: boolean): Steps<RbacPolicy> {
  // gRFC A41: "Policy.condition and Policy.checked_condition must cause a validation failure if present."
  for (const field of ['condition', 'checked_condition'] as const)
    if (policy.has(field)) throw policy.error(field, 'must not be set: CEL is not supported (gRFC A41)');
  const permissions = policy.messages('permissions');
  const principals = policy.messages('principals');
  // "min_items: 1" - rbac.proto
  if (permissions.length === 0) throw policy.error('permissions', 'must have at least one');
  if (principals.length === 0) throw policy.error('principals', 'must have at least one');
  const asked: { permissions: AuthzCondition[]; principals: AuthzCondition[] } = { permissions: [], principals: [] };
  for (const permission of permissions) {
    asked.permissions.push(readPermission(permission, own));
    yield;
  }
  for (const principal of principals) {
    asked.principals.push(readPrincipal(principal, own));
    yield;
  }
  return { name, ...asked };
}

/** gRFC A59: "will be NACKed if the configured logger types are not supported", those with is_optional excepted. */
function readAudit(audit: Message): AuditOptions {
  const condition = audit.choice('audit_condition', ['NONE', 'ON_DENY', 'ON_ALLOW', 'ON_DENY_AND_ALLOW']);
  const loggers = new Set<AuditLogger>();
  for (const config of audit.messages('logger_configs')) {
    const logger = config.required('audit_logger');
    const { type } = extension(logger.required('typed_config'));
    if (type === STDOUT_LOGGER) loggers.add('stdout');
    else if (type === OWN_LOGGER) loggers.add('logger');
    else if (!config.flag('is_optional'))
      throw logger.error(
        'typed_config',
        `audit logger "${type}" is not supported; use ${STDOUT_LOGGER}, or set is_optional`,
      );
  }
  return { condition, loggers: [...loggers] };
}
