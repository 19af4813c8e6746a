import { DEFAULT_NAMESPACE, DEFAULT_PROVIDER, workloadId } from '../core/identity.js';
import type { Route } from '../core/model/route.js';
import type { FilterChain } from '../core/model/server.js';
import { INBOUND_PREFIX, LISTENER } from '../core/resources.js';
import { runToEnd } from '../core/steps.js';
import { lastAsking } from '../server/last-asking.js';
import { OWN } from '../xds/origin.js';
import type { Io } from './io.js';

/** What a configuration says to the servers of a Service. */
export interface ServiceSecurity {
  /** By kind of connection; empty: they are asked nothing. */
  readonly chains: readonly FilterChain[];
  readonly trustDomain: string;
  readonly namespace: string;
}

/** Compiles the configuration for one Service. `failed`: it does not compile, or there is no such Service, which `io` has been told. */
export async function securityOf(
  config: readonly string[],
  service: string,
  io: Io,
): Promise<ServiceSecurity | 'failed'> {
  const [{ formatProblem, loadConfig }, { decodersFor }] = await Promise.all([
    import('../controlplane/index.js'),
    import('../xds/resources/decoders.js'),
  ]);
  const {
    problems,
    resources,
    config: { trustDomain },
  } = await loadConfig(config);
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
  if (resource === undefined) return { chains: [], trustDomain, namespace: DEFAULT_NAMESPACE };
  const decoders = decodersFor({ certificateProviders: new Set([DEFAULT_PROVIDER]) });
  const listener = runToEnd(decoders[LISTENER](resource, name, OWN));
  if (listener.kind !== 'server') return { chains: [], trustDomain, namespace: DEFAULT_NAMESPACE };
  const { defaultFilterChain, filterChains } = listener.listener;
  const chains = defaultFilterChain === undefined ? filterChains : [defaultFilterChain, ...filterChains];
  return { chains, trustDomain, namespace: namespaceOf(chains) };
}

/** Routes are named after their port: `reviews.default:80`. */
function namespaceOf([chain]: readonly FilterChain[]): string {
  const name = chain?.routes.kind === 'inline' ? chain.routes.config.name : '';
  return /\.([^.:]+):\d+$/.exec(name)?.[1] ?? DEFAULT_NAMESPACE;
}

/** A SPIFFE ID as users write it: whole, without its scheme, or in short the name of a Service beside the one that is called, as in policies for it. */
export function spiffeIdOf(
  principal: string,
  { trustDomain, namespace }: Pick<ServiceSecurity, 'trustDomain' | 'namespace'>,
): string {
  if (principal.startsWith('spiffe://')) return principal;
  return principal.includes('/') ? `spiffe://${principal}` : workloadId(trustDomain, namespace, principal);
}

/** What security asks of requests. */
export type Asked = Pick<Route, 'authorization' | 'authentication' | 'extAuthz'>;

/** What is asked of requests that no route takes. */
export function elsewhere(chain: FilterChain): Asked {
  const own = chain.authentication?.filter(({ rules }) => rules.length > 0) ?? [];
  return {
    authorization: chain.authorization,
    authentication:
      own.length > 0
        ? own
        : lastAsking(chain, undefined, (route) => route.authentication !== undefined)?.authentication,
    extAuthz: chain.extAuthz ?? lastAsking(chain, undefined, (route) => route.extAuthz !== undefined)?.extAuthz,
  };
}
