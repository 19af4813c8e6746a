import type { AuthzRequest } from './request.js';
import type { RuleDecision } from './rules.js';
import { principalNames } from './conditions.js';

/** What an audit logger is told (gRFC A59, "Audit Context"), and which filter it was. */
export interface AuditEvent {
  readonly rpcMethod: string;
  /** '' where the caller showed no certificate. */
  readonly principal: string;
  /** Name of the filter: "not applicable in xDS case" of A59's policy name. */
  readonly filter: string;
  /** Name of the policy that matched; '' for none. */
  readonly matchedRule: string;
  readonly authorized: boolean;
}

/** Texts from outside are cut to this, in characters. */
const MAX_TEXT = 500;

export const auditEvent = (decision: RuleDecision, request: AuthzRequest): AuditEvent => ({
  rpcMethod: request.judgedPath.slice(0, MAX_TEXT),
  principal: (principalNames(request)[0] ?? '').slice(0, MAX_TEXT),
  filter: decision.filter,
  matchedRule: decision.policy ?? '',
  authorized: decision.allowed,
});

/** A line of gRPC's StdoutAuditLog; `wallTime` in milliseconds. */
export const stdoutLine = ({ rpcMethod, principal, matchedRule, authorized }: AuditEvent, wallTime: number): string =>
  `${JSON.stringify({
    grpc_audit_log: {
      timestamp: new Date(wallTime).toISOString(),
      rpc_method: rpcMethod,
      principal,
      policy_name: '',
      matched_rule: matchedRule,
      authorized,
    },
  })}\n`;
