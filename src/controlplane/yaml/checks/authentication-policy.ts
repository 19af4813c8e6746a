import type { Report } from '../problem.js';
import type { AuthenticationPolicySpec } from '../schema/authentication-policy.js';
import { checkJwt } from './jwt.js';

export function checkAuthenticationPolicy(spec: AuthenticationPolicySpec, report: Report): void {
  const { targetRefs, mtls, jwt } = spec;
  checkJwt(spec, report);
  if (mtls === undefined) {
    if (jwt === undefined) report(['spec'], 'says nothing: give it mtls or jwt', { expected: 'mtls, jwt' });
    return;
  }
  const ports = Object.keys(mtls.ports ?? {});
  if (mtls.mode === undefined && ports.length === 0)
    report(['spec', 'mtls'], 'must have a mode, or ports', { expected: 'mode, ports' });
  // As in Istio, where `portLevelMtls` needs a selector: a port is one of a Service.
  if (ports.length > 0 && targetRefs === undefined)
    report(['spec', 'mtls', 'ports'], 'needs targetRefs: ports are those of a Service', { expected: 'targetRefs' });
}
