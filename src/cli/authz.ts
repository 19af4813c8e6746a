import { isIP } from 'node:net';
import { DEFAULT_PROVIDER, type PeerIdentity } from '../core/identity.js';
import type { FilterChain } from '../core/model/server.js';
import { INBOUND_PREFIX, LISTENER } from '../core/resources.js';
import { runToEnd } from '../core/steps.js';
import type { Explanation } from '../identity/authz/explain.js';
import type { AuthzRequest } from '../identity/authz/request.js';
import { OWN } from '../xds/origin.js';
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
  readonly output: OutputFormat;
}

/** Says whether servers of a service let a described request in, and which policy and rule decides. Fails when the configuration does not compile, or knows no such service. */
export async function explain(options: ExplainOptions, io: Io): Promise<ExitCode> {
  const chain = await chainOf(options, io);
  if (chain === 'failed') return EXIT.failed;
  const explained = chain === undefined ? await unasked() : await explainAt(chain, options);
  if (options.output === 'json')
    io.out(`${JSON.stringify({ service: options.service, ...explained }, undefined, 2)}\n`);
  else io.out(asText(explained));
  return EXIT.ok;
}

/** What the servers of a service ask of requests; undefined: nothing. */
async function chainOf({ config, service }: ExplainOptions, io: Io): Promise<FilterChain | undefined | 'failed'> {
  const [{ formatProblem, loadConfig }, { decodersFor }] = await Promise.all([
    import('../controlplane/index.js'),
    import('../xds/resources/decoders.js'),
  ]);
  const { problems, resources } = await loadConfig(config);
  if (problems.length > 0) {
    for (const problem of problems) io.err(`${formatProblem(problem)}\n`);
    return 'failed';
  }
  if (!resources[LISTENER].has(service)) {
    io.err(`inmesh: no Service "${service}" in this configuration\n`);
    return 'failed';
  }
  const name = `${INBOUND_PREFIX}${service}`;
  const resource = resources[LISTENER].get(name);
  if (resource === undefined) return undefined;
  const decoders = decodersFor({ certificateProviders: new Set([DEFAULT_PROVIDER]) });
  const listener = runToEnd(decoders[LISTENER](resource, name, OWN));
  if (listener.kind !== 'server') return undefined;
  return listener.listener.defaultFilterChain ?? listener.listener.filterChains[0];
}

async function explainAt(chain: FilterChain, options: ExplainOptions): Promise<Explained> {
  const [{ explainDecision }, { judgedPath, pathFault }, { VirtualHosts }, { RouteTable }, { systemRandom }] =
    await Promise.all([
      import('../identity/authz/explain.js'),
      import('../identity/authz/path.js'),
      import('../routing/virtual-host.js'),
      import('../routing/table/table.js'),
      import('../core/random.js'),
    ]);
  const request = requestOf(options, judgedPath(options.path) ?? options.path);
  const { routes: source } = chain;
  if (source.kind !== 'inline') return unasked();
  const hosts = source.config.virtualHosts.map(({ domains, routes }) => ({
    domains,
    routes: new RouteTable(
      routes.map((route) => ({ match: route.match, value: route })),
      { random: systemRandom },
    ),
  }));
  const route = new VirtualHosts(hosts, source.config.ignorePort).find(request.host)?.routes.find(request);
  const authorization = route === undefined ? chain.authorization : route.authorization;
  const fault = authorization?.judgesPath === true ? pathFault(options.path) : undefined;
  if (fault !== undefined) {
    const reason = `the path is refused before any policy is asked: ${fault}`;
    return { allowed: false, filter: '', policy: '', reason, filters: [], route: route?.name ?? '' };
  }
  const at = options.at === undefined ? undefined : Date.parse(options.at);
  const wallTime = at === undefined ? (await import('../core/clock.js')).systemClock.wallTime : () => at;
  return { ...explainDecision(authorization?.filters ?? [], request, { wallTime }), route: route?.name ?? '' };
}

interface Explained extends Explanation {
  /** Name of the route that takes the request. */
  readonly route: string;
}

const unasked = async (): Promise<Explained> => ({
  ...(await import('../identity/authz/explain.js')).explainDecision([], requestOf(NOTHING, '/'), { wallTime: () => 0 }),
  route: '',
});

const NOTHING = { service: '', method: 'GET', path: '/', source: '127.0.0.1', header: [], claim: [] } as const;

type Described = Omit<ExplainOptions, 'config' | 'output'>;

function requestOf(options: Described, judgedPath: string): AuthzRequest {
  const headers = Object.create(null) as Record<string, string>;
  for (const header of options.header) {
    const at = header.indexOf(':');
    headers[header.slice(0, at).trim().toLowerCase()] = header.slice(at + 1).trim();
  }
  const claims = Object.fromEntries(
    options.claim.map((claim) => [claim.slice(0, claim.indexOf('=')), claim.slice(claim.indexOf('=') + 1)]),
  );
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
    peerAddress: isIP(options.source) === 0 ? undefined : options.source,
    clientAddress: isIP(options.source) === 0 ? undefined : options.source,
    localAddress: '127.0.0.1',
    localPort: options.port,
    serverName: '',
    claims: options.claim.length === 0 ? undefined : claims,
  };
}

/** As a certificate with this SPIFFE ID has it; `cluster.local/ns/…` in short. */
function peerNamed(principal: string): PeerIdentity {
  const spiffeId = principal.startsWith('spiffe://') ? principal : `spiffe://${principal}`;
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

function asText({ allowed, reason, route, filters }: Explained): string {
  const lines = [`${allowed ? 'ALLOWED' : 'DENIED'}: ${reason}`];
  if (route !== '') lines.push(`route ${route}`);
  for (const { name, action, shadow, policies, allowed: passes } of filters) {
    lines.push(`${action}${shadow ? ' (dry run)' : ''} ${name}: ${passes ? 'lets it through' : 'refuses it'}`);
    if (policies.length === 0) lines.push('  no policies');
    for (const policy of policies) lines.push(`  ${policy.matched ? '*' : '-'} ${policy.name}: ${policy.because}`);
  }
  return `${lines.join('\n')}\n`;
}
