import { isIP } from 'node:net';
import type { PeerIdentity } from '../core/identity.js';
import type { FilterChain } from '../core/model/server.js';
import type { Explanation } from '../identity/authz/explain.js';
import type { AuthzRequest } from '../identity/authz/request.js';
import { elsewhere, securityOf, spiffeIdOf } from './authz-chains.js';
import type { Step } from './authz-steps.js';
import { EXIT, type ExitCode, type Io, type OutputFormat } from './io.js';

export interface ExplainOptions {
  readonly config: readonly string[];
  readonly service: string;
  readonly method: string;
  readonly path: string;
  readonly host?: string;
  readonly principal?: string;
  readonly source: string;
  readonly port?: number;
  readonly header: readonly string[];
  readonly claim: readonly string[];
  readonly grpc?: true;
  readonly at?: string;
  /** The exit code says what was found. */
  readonly exitCode?: true;
  readonly output: OutputFormat;
}

/** Says whether servers of a service let a described request in, and which policy and rule decides. Fails when the configuration does not compile, or knows no such service; whether it was let in is in the exit code only where that is asked for. */
export async function explain(options: ExplainOptions, io: Io): Promise<ExitCode> {
  if (isIP(options.source) === 0) {
    io.err(`inmesh: --source must be an IP address, not "${options.source}"\n`);
    return EXIT.usage;
  }
  const security = await securityOf(options.config, options.service, io);
  if (security === 'failed') return EXIT.failed;
  const principal = options.principal && spiffeIdOf(options.principal, security);
  const explained = await explainAt(security.chains, { ...options, principal });
  if (options.output === 'json')
    io.out(`${JSON.stringify({ service: options.service, ...explained }, undefined, 2)}\n`);
  else io.out(asText(explained));
  if (options.exitCode !== true || explained.allowed) return EXIT.ok;
  return explained.dependsOn.length > 0 ? EXIT.depends : EXIT.denied;
}

/** Step by step, as a server does (`AUTHENTICATION`, then `ADMISSION`). */
async function explainAt(chains: readonly FilterChain[], options: Described): Promise<Explained> {
  const [steps, { askTokens }, path, { VirtualHosts }, { RouteTable }, { systemRandom: random }, { authorityFault }] =
    await Promise.all([
      import('./authz-steps.js'),
      import('./authz-tokens.js'),
      import('../identity/authz/path.js'),
      import('../routing/virtual-host.js'),
      import('../routing/table/table.js'),
      import('../core/random.js'),
      import('../server/authorization-request.js'),
    ]);
  const sent = requestOf(options, path.judgedPath(options.path) ?? options.path);
  const secured = chains.find(({ tls }) => tls !== undefined);
  const plain = chains.find(({ tls }) => tls === undefined);
  const chain = sent.peerIdentity === undefined ? (plain ?? secured) : (secured ?? plain);
  const source = chain?.routes.kind === 'inline' ? chain.routes.config : undefined;
  const hosts = (source?.virtualHosts ?? []).map(({ domains, routes }) => ({
    domains,
    routes: new RouteTable(
      routes.map((route) => ({ match: route.match, value: route })),
      { random },
    ),
  }));
  const routes = new VirtualHosts(hosts, source?.ignorePort ?? false).find(sent.host)?.routes;
  const at = options.at === undefined ? undefined : Date.parse(options.at);
  const { systemClock } = await import('../core/clock.js');
  const wallTime = at === undefined ? systemClock.wallTime : () => at;
  // Servers ask for tokens what the route without claims says, and choose the route again by what is in them.
  const unclaimed = routes?.find({ ...sent, claims: undefined }) ?? (chain && elsewhere(chain));
  const tokens = await askTokens(unclaimed?.authentication ?? [], sent, {
    clock: { ...systemClock, wallTime },
    random,
  });
  const { request } = tokens;
  const route = routes?.find(request);
  const of = chain && (route ?? elsewhere(chain));
  const { authorization } = of ?? {};
  const asked = authorization !== undefined && (authorization.filters.length > 0 || authorization.judgesPath);
  const unread = asked && authorization.judgesPath ? path.pathFault(options.path) : undefined;
  const fault = unread ?? (asked ? authorityFault(request) : undefined);
  const filters = fault === undefined ? (authorization?.filters ?? []) : [];
  const { explanation, steps: rules } = steps.ruleSteps(filters, request, { wallTime });
  const what = unread === undefined ? 'authority' : 'path';
  const taken = [
    steps.mtlsStep(chains, request),
    tokens.step,
    fault === undefined
      ? undefined
      : steps.step('path and authority', 'refuses', `the ${what} is refused before any policy is asked: ${fault}`),
    ...(asked && fault === undefined ? rules : []),
    steps.externalStep(of?.extAuthz ?? [], request),
  ].filter((step) => step !== undefined);
  return { ...explanation, ...verdictOf(taken, explanation.reason), steps: taken, route: route?.name ?? '' };
}

function verdictOf(steps: readonly Step[], reason: string): Pick<Explained, 'allowed' | 'reason' | 'dependsOn'> {
  const refused = steps.find(({ verdict }) => verdict === 'refuses');
  if (refused !== undefined) return { allowed: false, reason: refused.because, dependsOn: [] };
  const dependsOn = steps.filter(({ verdict }) => verdict === 'depends').map(({ because }) => because);
  return dependsOn.length === 0
    ? { allowed: true, reason, dependsOn }
    : { allowed: false, reason: dependsOn.join(', and '), dependsOn };
}

interface Explained extends Explanation {
  /** Name of the route that takes the request. */
  readonly route: string;
  readonly steps: readonly Step[];
  /** What decides and was not given. Not empty: nobody can say, so that `allowed` is false. */
  readonly dependsOn: readonly string[];
}

type Described = Omit<ExplainOptions, 'config' | 'output' | 'principal'> & { readonly principal: string | undefined };

function requestOf(options: Described, judgedPath: string): AuthzRequest {
  const headers = Object.create(null) as Record<string, string | string[]>;
  for (const header of options.header) {
    const at = header.indexOf(':');
    const name = header.slice(0, at).trim().toLowerCase();
    const value = header.slice(at + 1).trim();
    headers[name] = name in headers ? [headers[name] ?? [], value].flat() : value;
  }
  return {
    method: options.grpc ? 'POST' : options.method,
    path: options.path,
    judgedPath,
    host: options.host ?? options.service,
    scheme: 'http',
    protocol: options.grpc ? 'grpc' : 'http',
    headers,
    secure: options.principal !== undefined,
    peerIdentity: options.principal === undefined ? undefined : peerNamed(options.principal),
    peerAddress: options.source,
    clientAddress: options.source,
    localAddress: undefined,
    localPort: options.port,
    serverName: '',
    claims: options.claim.length === 0 ? undefined : claimsOf(options.claim),
  };
}

/** One that is named several times is a list; what is JSON of a list or an object is that. */
function claimsOf(given: readonly string[]): Record<string, unknown> {
  const claims = Object.create(null) as Record<string, unknown>;
  for (const claim of given) {
    const at = claim.indexOf('=');
    const name = claim.slice(0, at);
    const value = claimValue(claim.slice(at + 1));
    claims[name] = name in claims ? [claims[name], value].flat() : value;
  }
  return claims;
}

function claimValue(text: string): unknown {
  if (!/^[[{]/.test(text)) return text;
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

/** As a certificate with this SPIFFE ID has it. */
function peerNamed(spiffeId: string): PeerIdentity {
  return {
    spiffeId,
    trustDomain: spiffeId.slice('spiffe://'.length).split('/')[0],
    uriSans: [spiffeId],
    dnsSans: [],
    subject: '',
    serialNumber: '',
    fingerprint: '',
    notAfter: 0,
  };
}

function asText({ allowed, reason, route, filters, steps, dependsOn }: Explained): string {
  const lines = [`${dependsOn.length > 0 ? 'DEPENDS' : allowed ? 'ALLOWED' : 'DENIED'}: ${reason}`];
  if (route !== '') lines.push(`route ${route}`);
  const told = steps.map(
    ({ name, verdict, because }) => `${name}: ${verdict}${verdict === 'depends' ? '' : ':'} ${because}`,
  );
  const before = steps.findLastIndex(({ name }) => name !== 'rules' && name !== 'ext_authz') + 1;
  lines.push(...told.slice(0, before));
  for (const { name, action, shadow, policies, allowed: passes } of filters) {
    lines.push(`${action}${shadow ? ' (dry run)' : ''} ${name}: ${passes ? 'lets it through' : 'refuses it'}`);
    if (policies.length === 0) lines.push('  no policies');
    for (const policy of policies) lines.push(`  ${policy.matched ? '*' : '-'} ${policy.name}: ${policy.because}`);
  }
  lines.push(...told.slice(before).filter((_, i) => steps[before + i]?.name === 'ext_authz'));
  return `${lines.join('\n')}\n`;
}
