import type { Report } from '../problem.js';
import type { GrpcRouteSpec } from '../schema/grpc-route.js';
import { checkFilterFields } from './filters.js';
import { checkParents, checkRegex, checkRules, checkValues } from './route.js';

export function checkGrpcRoute(spec: GrpcRouteSpec, report: Report): void {
  checkParents(spec.parentRefs, report);
  checkRules(spec.rules, report);
  spec.rules.forEach((rule, index) => {
    const at = ['spec', 'rules', index];
    rule.matches.forEach((match, number) => {
      const matchAt = [...at, 'matches', number];
      checkValues(match.headers, [...matchAt, 'headers'], report);
      const method = match.method;
      if (method === undefined) return;
      // "At least one of Service and Method MUST be a non-empty string." - GRPCMethodMatch.
      if (!method.service && !method.method) report([...matchAt, 'method'], 'must have a service, a method, or both');
      for (const field of ['service', 'method'] as const) {
        const name = method[field];
        if (!name) continue;
        if (method.type === 'RegularExpression') checkRegex(name, [...matchAt, 'method', field], report);
        else if (!NAMES[field].test(name))
          report([...matchAt, 'method', field], `must be the name of a gRPC ${field}, got "${name}"`);
      }
    });
    checkFilterFields(rule.filters, [...at, 'filters'], report);
    rule.backendRefs.forEach((ref, number) => {
      checkFilterFields(ref.filters ?? [], [...at, 'backendRefs', number, 'filters'], report);
    });
  });
}

/** GRPCMethodMatch's own patterns. */
const NAMES = { service: /^\.?[a-z_][a-z_0-9]*(\.[a-z_][a-z_0-9]*)*$/i, method: /^[A-Za-z_][A-Za-z_0-9]*$/ };
