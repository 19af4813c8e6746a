import type { AuthzCondition, RbacFilter } from '../core/model/authorization.js';
import type { ExtAuthz } from '../core/model/ext-authz.js';
import type { FilterChain } from '../core/model/server.js';
import type { AuthzEnv } from '../identity/authz/conditions.js';
import { type Explanation, explainDecision } from '../identity/authz/explain.js';
import { pathFault } from '../identity/authz/path.js';
import type { AuthzRequest } from '../identity/authz/request.js';

/** One thing that a server asks of a request, in the order in which it does. */
export interface Step {
  readonly name: 'mTLS' | 'JWT' | 'path and authority' | 'rules' | 'ext_authz';
  readonly verdict: 'passes' | 'refuses' | 'depends';
  readonly because: string;
}

/** TLS that servers ask for. A permissive server has a chain of each kind. */
export function mtlsStep(chains: readonly FilterChain[], { peerIdentity }: AuthzRequest): Step | undefined {
  const secured = chains.filter(({ tls }) => tls !== undefined);
  if (secured.length === 0) return undefined;
  if (peerIdentity !== undefined) return step('mTLS', 'passes', `the caller is ${peerIdentity.spiffeId ?? ''}`);
  if (secured.length < chains.length) return step('mTLS', 'passes', 'it is permissive: plain text is served, too');
  return secured.every(({ tls }) => tls?.requireClientCertificate)
    ? step('mTLS', 'refuses', 'mTLS is strict, and the caller shows no certificate (--principal)')
    : undefined;
}

/** What is asked of another service. */
export function externalStep(asked: readonly ExtAuthz[], { path }: AuthzRequest): Step | undefined {
  if (asked.length === 0) return undefined;
  const fault = pathFault(path);
  if (fault !== undefined) return step('ext_authz', 'refuses', `the path is refused before anybody is asked: ${fault}`);
  const clusters = asked.map(({ service }) => service.cluster).join(', ');
  return step('ext_authz', 'depends', `on what the service of external authorization says (${clusters})`);
}

/** The decision of the rules; and what it depends on that nobody has said: with one value of it they let the request through, with another they do not. */
export function ruleSteps(
  filters: readonly RbacFilter[],
  request: AuthzRequest,
  env: AuthzEnv,
): { readonly explanation: Explanation; readonly steps: readonly Step[] } {
  const explanation = explainDecision(filters, request, env);
  const conditions = filters.flatMap(({ rules }) =>
    (rules?.policies ?? []).flatMap(({ permissions, principals }) => [...permissions, ...principals].flatMap(leavesOf)),
  );
  const steps = INPUTS.flatMap(({ what, variants }) => {
    const others = variants(request, conditions);
    const outcomes = new Set(others.map((other) => explainDecision(filters, { ...request, ...other }, env).allowed));
    return outcomes.size > 1 ? [step('rules', 'depends', what)] : [];
  });
  if (steps.length > 0) return { explanation, steps };
  const { allowed, reason } = explanation;
  return { explanation, steps: [step('rules', allowed ? 'passes' : 'refuses', reason)] };
}

interface Input {
  readonly what: string;
  /** What it could be, as far as the rules tell it apart. */
  variants(request: AuthzRequest, conditions: readonly AuthzCondition[]): readonly Partial<AuthzRequest>[];
}

const INPUTS: readonly Input[] = [
  {
    what: 'on the port that the server listens on (--port)',
    variants: ({ localPort }, conditions) =>
      localPort !== undefined
        ? []
        : [0, ...conditions.flatMap((one) => (one.kind === 'destination-port' ? [one.port] : []))].map((port) => ({
            localPort: port,
          })),
  },
  {
    what: "on the server's own address",
    variants: ({ localAddress }, conditions) =>
      localAddress !== undefined
        ? []
        : ['0.0.0.0', ...conditions.flatMap((one) => (one.kind === 'destination-ip' ? [one.range.address] : []))].map(
            (address) => ({ localAddress: address }),
          ),
  },
  {
    what: 'on the server name that the caller sends (SNI)',
    variants: (_, conditions) =>
      [
        '',
        ...conditions.flatMap((one) =>
          one.kind === 'server-name' && one.match.kind !== 'regex' ? [one.match.value] : [],
        ),
      ].map((serverName) => ({ serverName })),
  },
];

function leavesOf(condition: AuthzCondition): AuthzCondition[] {
  if (condition.kind === 'and' || condition.kind === 'or') return condition.of.flatMap(leavesOf);
  return condition.kind === 'not' ? leavesOf(condition.of) : [condition];
}

export const step = (name: Step['name'], verdict: Step['verdict'], because: string): Step => ({
  name,
  verdict,
  because,
});
