import type { Steps } from '../../core/steps.js';
import { extension } from './any.js';
import { checkPermission, checkPrincipal } from './filter-rbac-rules.js';
import type { Message } from './message.js';

/** The one logger that gRFC A59 builds in. */
const STDOUT_LOGGER = 'envoy.extensions.rbac.audit_loggers.stream.v3.StdoutAuditLog';

/** `extensions.filters.http.rbac.v3.RBACPerRoute`; without `rbac` it switches the filter off. */
export function* checkRbacOverride(override: Message): Steps<void> {
  const rbac = override.message('rbac');
  if (rbac !== undefined) yield* checkRbac(rbac);
}

/** `extensions.filters.http.rbac.v3.RBAC` by the rules of gRFC A41 and A59. */
export function* checkRbac(filter: Message): Steps<void> {
  // A policy in another language: to ignore it would be to let everybody in. (Shadow rules only count: "will not be supported", A41.)
  if (filter.has('matcher')) throw filter.error('matcher', 'is not supported; use rules');
  const rules = filter.message('rules');
  if (rules === undefined) return;
  rules.choice('action', ['ALLOW', 'DENY', 'LOG']);
  for (const [, policy] of rules.map('policies')) yield* checkPolicy(policy);
  const audit = rules.message('audit_logging_options');
  if (audit !== undefined) checkAuditLogging(audit);
}

function* checkPolicy(policy: Message): Steps<void> {
  // gRFC A41: "Policy.condition and Policy.checked_condition must cause a validation failure if present."
  for (const name of ['condition', 'checked_condition'] as const)
    if (policy.has(name)) throw policy.error(name, 'must not be set: CEL is not supported (gRFC A41)');
  const permissions = policy.messages('permissions');
  const principals = policy.messages('principals');
  // "min_items: 1" - rbac.proto
  if (permissions.length === 0) throw policy.error('permissions', 'must have at least one');
  if (principals.length === 0) throw policy.error('principals', 'must have at least one');
  for (const permission of permissions) {
    checkPermission(permission);
    yield;
  }
  for (const principal of principals) {
    checkPrincipal(principal);
    yield;
  }
}

/** gRFC A59: "will be NACKed if the configured logger types are not supported", those with is_optional excepted. */
function checkAuditLogging(audit: Message): void {
  audit.choice('audit_condition', ['NONE', 'ON_DENY', 'ON_ALLOW', 'ON_DENY_AND_ALLOW']);
  for (const config of audit.messages('logger_configs')) {
    const logger = config.required('audit_logger');
    const { type } = extension(logger.required('typed_config'));
    if (type !== STDOUT_LOGGER && !config.flag('is_optional'))
      throw logger.error(
        'typed_config',
        `audit logger "${type}" is not supported; use ${STDOUT_LOGGER}, or set is_optional`,
      );
  }
}
