import { parseTraceparent } from '../../core/traceparent.js';
import type { AuthzRequest } from './request.js';
import type { RuleDecision } from './rules.js';
import { principalNames } from './conditions.js';

/** What an audit logger is told (gRFC A59, "Audit Context"), and what else tells one request from another. */
export interface AuditEvent {
  /** Path without query, as it was judged; of gRPC the method. */
  readonly rpcMethod: string;
  /** HTTP method: POST for gRPC. */
  readonly method: string;
  /** IP address of the client, as far as proxies in front are trusted; '' where it is not known. */
  readonly sourceAddress: string;
  /** '' where the caller showed no certificate. */
  readonly principal: string;
  /** Of a valid `traceparent`; '' for none. */
  readonly traceId: string;
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
  method: request.method.slice(0, MAX_TEXT),
  sourceAddress: request.clientAddress ?? request.peerAddress ?? '',
  principal: (principalNames(request)[0] ?? '').slice(0, MAX_TEXT),
  traceId: traceIdOf(request.headers['traceparent']),
  filter: decision.filter,
  matchedRule: decision.policy ?? '',
  authorized: decision.allowed,
});

/** "Multiple traceparent headers" are none (W3C Trace Context, 3.2). */
function traceIdOf(field: string | string[] | undefined): string {
  const [only, ...others] = field === undefined ? [] : [field].flat();
  return only === undefined || others.length > 0 ? '' : (parseTraceparent(only)?.traceId ?? '');
}

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
