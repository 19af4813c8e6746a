import type { JwtAuthentication, JwtProvider, JwtRequirement } from '../core/model/authentication.js';
import type { AuthzCondition, RbacFilter, RbacRules } from '../core/model/authorization.js';
import type { ExtAuthz } from '../core/model/ext-authz.js';
import type { FilterChain } from '../core/model/server.js';
import { describe } from '../identity/authz/describe.js';
import { type Asked, elsewhere, securityOf } from './authz-chains.js';
import { EXIT, type ExitCode, type Io, type OutputFormat } from './io.js';

export interface ListOptions {
  readonly config: readonly string[];
  readonly service: string;
  readonly output: OutputFormat;
}

/** One thing that is asked of requests. */
type Policy =
  | {
      readonly kind: 'JWT';
      readonly requirement: string;
      readonly providers: readonly {
        readonly name: string;
        readonly issuer: string | undefined;
        readonly audiences: readonly string[];
        readonly keys: string;
      }[];
    }
  | {
      readonly kind: 'RBAC';
      readonly name: string;
      readonly action: RbacRules['action'];
      readonly dryRun: boolean;
      readonly rules: readonly { readonly name: string; readonly matches: string }[];
      /** What becomes of requests that none of them matches. */
      readonly otherwise: 'go on' | 'refused';
    }
  | {
      readonly kind: 'ext_authz';
      readonly name: string;
      readonly cluster: string;
      readonly protocol: 'grpc' | 'http';
      readonly timeoutMs: number;
      readonly onFailure: 'deny' | 'allow';
      readonly showsBody: boolean;
    };

interface Listed {
  /** Names of routes; '' is whatever no route takes. */
  readonly routes: readonly string[];
  /** In the order in which they are asked. */
  readonly policies: readonly Policy[];
}

/** Prints which policies servers of a Service hold requests to, in the order in which they ask them. Fails when the configuration does not compile, or knows no such Service. */
export async function list({ config, service, output }: ListOptions, io: Io): Promise<ExitCode> {
  const security = await securityOf(config, service, io);
  if (security === 'failed') return EXIT.failed;
  const mtls = mtlsOf(security.chains);
  const requests = security.chains[0] === undefined ? [] : listed(security.chains[0]);
  if (output === 'json') io.out(`${JSON.stringify({ service, mtls, requests }, undefined, 2)}\n`);
  else io.out(asText(mtls, requests));
  return EXIT.ok;
}

type Mtls = 'strict' | 'permissive' | 'disabled';

function mtlsOf(chains: readonly FilterChain[]): Mtls {
  const secured = chains.filter(({ tls }) => tls !== undefined).length;
  if (secured === 0) return 'disabled';
  return secured < chains.length ? 'permissive' : 'strict';
}

/** Chains of a Service differ in TLS alone. Routes of which the same is asked are told together. */
function listed(chain: FilterChain): Listed[] {
  const routes = chain.routes.kind === 'inline' ? chain.routes.config.virtualHosts.flatMap((host) => host.routes) : [];
  const all: (readonly [string, Asked])[] = [
    ...routes.map((route) => [route.name, route] as const),
    ['', elsewhere(chain)],
  ];
  const groups = new Map<string, { readonly routes: Set<string>; readonly policies: readonly Policy[] }>();
  for (const [name, asked] of all) {
    const policies = policiesOf(asked);
    const key = JSON.stringify(policies);
    const group = groups.get(key) ?? { routes: new Set(), policies };
    group.routes.add(name);
    groups.set(key, group);
  }
  return [...groups.values()].map((group) => ({ ...group, routes: [...group.routes] }));
}

/** In the order of `AUTHENTICATION` and `ADMISSION`. */
const policiesOf = ({ authentication = [], authorization, extAuthz = [] }: Asked): readonly Policy[] => [
  ...authentication.flatMap(tokens),
  ...(authorization?.filters ?? []).flatMap(rules),
  ...extAuthz.map(external),
];

const tokens = (configured: JwtAuthentication): Policy[] =>
  configured.rules.flatMap(({ requirement }) =>
    requirement === undefined
      ? []
      : [
          {
            kind: 'JWT',
            requirement: required(requirement, configured),
            providers: configured.providers.map(({ name, issuer, audiences, jwks }) => ({
              name,
              issuer,
              audiences,
              keys: keysOf(jwks),
            })),
          },
        ],
  );

function required(requirement: JwtRequirement, of: JwtAuthentication): string {
  switch (requirement.kind) {
    case 'provider': {
      const provider = of.providers.find(({ name }) => name === requirement.provider);
      return `a token of ${provider?.issuer ?? requirement.provider}`;
    }
    case 'any':
    case 'all':
      return requirement.of.map((one) => required(one, of)).join(requirement.kind === 'any' ? ', or ' : ', and ');
    case 'allow_missing':
      return 'a good token, or none';
    case 'allow_missing_or_failed':
      return 'no token; good ones are used';
  }
}

function keysOf(source: JwtProvider['jwks']): string {
  if (source.kind === 'uri') return source.uri;
  return source.kind === 'file' ? source.path : 'inline';
}

const rules = ({ name, rules: enforced, shadow }: RbacFilter): Policy[] => [
  ...(enforced === undefined ? [] : [ruleSet(name, enforced, false)]),
  ...(shadow === undefined ? [] : [ruleSet(name, shadow, true)]),
];

const ruleSet = (name: string, { action, policies }: RbacRules, dryRun: boolean): Policy => ({
  kind: 'RBAC',
  name,
  action,
  dryRun,
  rules: policies.map((policy) => ({ name: policy.name, matches: inWords([policy.permissions, policy.principals]) })),
  otherwise: action === 'ALLOW' ? 'refused' : 'go on',
});

function inWords(parts: readonly (readonly AuthzCondition[])[]): string {
  const told = parts.flatMap((of) => phrases({ kind: 'or', of })).filter((text) => text !== 'anything');
  return told.length === 0 ? 'everything' : told.join(', ');
}

/** What must all hold, one by one. */
function phrases(condition: AuthzCondition): string[] {
  if (condition.kind === 'and') return condition.of.flatMap(phrases);
  const [only, ...others] = condition.kind === 'or' ? condition.of : [];
  return only !== undefined && others.length === 0 ? phrases(only) : [describe(condition)];
}

const external = ({ name, service: { kind, cluster, timeoutMs }, onFailure, body }: ExtAuthz): Policy => ({
  kind: 'ext_authz',
  name,
  cluster,
  protocol: kind,
  timeoutMs,
  onFailure,
  showsBody: body !== undefined,
});

const MTLS: Readonly<Record<Mtls, string>> = {
  strict: 'mTLS strict: who shows no certificate of the mesh is refused',
  permissive: 'mTLS permissive: plain text is served, too',
  disabled: 'mTLS disabled: nobody shows a certificate',
};

function asText(mtls: Mtls, requests: readonly Listed[]): string {
  const lines = [MTLS[mtls]];
  if (requests.every(({ policies }) => policies.length === 0)) lines.push('no policy asks anything of requests');
  else
    for (const { routes, policies } of requests) {
      if (requests.length > 1) lines.push('', `requests of ${routes.map((name) => name || 'no route').join(', ')}`);
      if (policies.length === 0) lines.push('nothing is asked');
      for (const policy of policies) lines.push(...policyText(policy));
    }
  return `${lines.join('\n')}\n`;
}

function policyText(policy: Policy): string[] {
  switch (policy.kind) {
    case 'JWT':
      return [
        `JWT: ${policy.requirement}`,
        ...policy.providers.map(
          ({ name, issuer = 'any issuer', audiences, keys }) =>
            `  ${name}: ${issuer}${audiences.length === 0 ? '' : ` for ${audiences.join(', ')}`}, keys ${keys}`,
        ),
      ];
    case 'RBAC':
      return [
        `${policy.action}${policy.dryRun ? ' (dry run)' : ''} ${policy.name}${policy.otherwise === 'refused' ? ': what no rule matches is refused' : ''}`,
        ...policy.rules.map(({ name, matches }) => `  ${name}: ${matches}`),
        ...(policy.rules.length === 0 ? ['  no policies'] : []),
      ];
    case 'ext_authz': {
      const { name, cluster, protocol, timeoutMs, onFailure, showsBody } = policy;
      const unanswered = onFailure === 'deny' ? 'refused' : 'let through';
      return [
        `ext_authz ${name}: asks ${cluster} (${protocol}${showsBody ? ', with the body' : ''}); unanswered after ${timeoutMs} ms: ${unanswered}`,
      ];
    }
  }
}
