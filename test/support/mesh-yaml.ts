import { type CompileOptions, type CompileResult, compileText, formatProblem } from '../../src/controlplane/config.js';
import { CLUSTER, ENDPOINT, LISTENER, type Resource, ROUTE } from '../../src/core/resources.js';

/** A Service in one line of YAML. */
export const serviceYaml = (name: string, spec = 'endpoints: ["127.0.0.1:9001"]', metadata = ''): string => `
---
apiVersion: v1
kind: Service
metadata: { name: ${name}${metadata === '' ? '' : `, ${metadata}`} }
spec: { ${spec} }
`;

/** An HTTPRoute on one Service with the rules given as YAML flow text. */
export const httpRouteYaml = (name: string, parent: string, rules: string, metadata = ''): string => `
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: { name: ${name}${metadata === '' ? '' : `, ${metadata}`} }
spec: { parentRefs: [{ kind: Service, group: "", ${parent} }], rules: ${rules} }
`;

export const grpcRouteYaml = (name: string, parent: string, rules: string): string => `
---
apiVersion: gateway.networking.k8s.io/v1
kind: GRPCRoute
metadata: { name: ${name} }
spec: { parentRefs: [{ kind: Service, group: "", ${parent} }], rules: ${rules} }
`;

export const policyYaml = (name: string, target: string, spec: string): string => `
---
apiVersion: inmesh.dev/v1alpha1
kind: TrafficPolicy
metadata: { name: ${name} }
spec: { targetRefs: [{ group: "", kind: Service, name: ${target} }], ${spec} }
`;

/** A RoutePolicy for the route that `target` names: `kind: HTTPRoute, name: r`. */
export const routePolicyYaml = (name: string, target: string, spec: string): string => `
---
apiVersion: inmesh.dev/v1alpha1
kind: RoutePolicy
metadata: { name: ${name} }
spec: { targetRefs: [{ ${target} }]${spec === '' ? '' : `, ${spec}`} }
`;

/** A policy of requests for what `target` names: `kind: Service, name: a`. */
export const requestPolicyYaml = (
  kind: 'RateLimitPolicy' | 'QuotaPolicy' | 'FaultPolicy',
  name: string,
  target: string,
  spec: string,
  namespace = 'default',
): string => `
---
apiVersion: inmesh.dev/v1alpha1
kind: ${kind}
metadata: { name: ${name}, namespace: ${namespace} }
spec: { targetRefs: [{ ${target} }], ${spec} }
`;

const GROUPS = {
  HTTPRoute: 'gateway.networking.k8s.io',
  GRPCRoute: 'gateway.networking.k8s.io',
  TrafficPolicy: 'inmesh.dev',
  RateLimitPolicy: 'inmesh.dev',
};

/** A ReferenceGrant in `namespace` for one kind of `from`, to one Service or to all. */
export const grantYaml = (
  name: string,
  namespace: string,
  kind: keyof typeof GROUPS,
  from: string,
  service?: string,
): string => `
---
apiVersion: gateway.networking.k8s.io/v1
kind: ReferenceGrant
metadata: { name: ${name}, namespace: ${namespace} }
spec: { from: [{ group: ${GROUPS[kind]}, kind: ${kind}, namespace: ${from} }], to: [{ group: "", kind: Service${service === undefined ? '' : `, name: ${service}`} }] }
`;

/** Compiles one text called mesh.yaml, which must have no mistakes. */
export function compileYaml(text: string, options?: Pick<CompileOptions, 'danglingBackends'>): CompileResult {
  const result = compileText([{ name: 'mesh.yaml', text }], options);
  if (result.problems.length > 0) throw new Error(result.problems.map(formatProblem).join('\n'));
  return result;
}

/** The mistakes of one text called mesh.yaml, as they are shown. */
export const problemsOf = (text: string): string[] =>
  compileText([{ name: 'mesh.yaml', text }]).problems.map(formatProblem);

// biome-ignore lint/suspicious/noExplicitAny: tests look into resources of every shape
type Anything = any;

export const clusterOf = ({ resources }: CompileResult, name: string): Anything => resources[CLUSTER].get(name);
export const endpointsOf = ({ resources }: CompileResult, name: string): Anything => resources[ENDPOINT].get(name);
export const listenersOf = ({ resources }: CompileResult): string[] => [...resources[LISTENER].keys()];
/** The routes of the one virtual host. */
export const routesOf = ({ resources }: CompileResult, name: string): Anything[] =>
  (resources[ROUTE].get(name) as Anything)?.virtual_hosts[0].routes;

/** All resources as plain JSON, in their order. */
export const asJson = ({ resources }: CompileResult): Record<string, Record<string, Resource>> =>
  Object.fromEntries(Object.entries(resources).map(([type, map]) => [type, Object.fromEntries(map)]));
