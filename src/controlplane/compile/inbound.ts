import { INBOUND_PREFIX, MESH_INBOUND, type Resource } from '../../core/resources.js';
import type { CorsSpec } from '../yaml/schema/cors.js';
import type { MtlsMode } from '../yaml/schema/mtls.js';
import type { JwtFilters } from './authentication.js';
import type { AuthorizationFilters } from './authorization.js';
import type { Candidate } from './candidates.js';
import type { ExternalAuthorization } from './external-authorization.js';
import { CORS, filterOverrides, listenerFilters } from './http-filters.js';
import type { RouteDocument } from './parents.js';
import { any } from './proto.js';
import { DEFAULT_PORT } from './mesh-endpoint.js';
import type { RequestFilters } from './request-filters.js';
import { conditions, type RoutePolicies } from './route-policies.js';
import { nameOf } from './routes.js';
import type { MeshPort, MeshService } from './services.js';
import { downstreamTls } from './tls-context.js';

const EVERYTHING = { match: { prefix: '/' } };

/**
 * What a server does to requests for one port of the Service that it is, where policies with `side: server` meet them, or routes with CORS: the matches of the port's routes, in
 * their order, and after them all others. The requests are its own to answer (`non_forwarding_action`, gRFC A36). Undefined: no policy meets any, and `always` is false.
 */
export function inboundRoutes(
  service: MeshService,
  candidates: readonly Candidate[] | undefined,
  routePolicies: RoutePolicies,
  filters: RequestFilters,
  { jwt, authorization, external }: Security,
  always: boolean,
): Inbound | undefined {
  const rules = candidates ?? [];
  const authz = authorization.filters(service, rules);
  const routes = rules.flatMap(({ route, rule, matches }) => {
    const asked = conditions(routePolicies.get(route)?.get(rule));
    const overrides = filterOverrides(corsOf(route, rule), undefined, {
      ...authorization.overrides(service, { route, rule }, rules),
      ...filters.overrides('server', service, { route, rule }),
    });
    const name = nameOf(route, rule);
    return matches.map(({ match }) => ({
      name,
      match: { ...match, ...asked },
      non_forwarding_action: {},
      ...overrides,
    }));
  });
  const rest = filterOverrides(undefined, undefined, filters.overrides('server', service));
  const all = [...routes, { name: 'default', ...EVERYTHING, non_forwarding_action: {}, ...rest }];
  const speaks = all.some((route) => 'typed_per_filter_config' in route);
  const security = [...jwt.filters(service), ...authz, ...external.filters(service)];
  return always || speaks || security.length > 0 ? { routes: all, security } : undefined;
}

/**
 * `inmesh.dev/inbound/*`: what a server is held to whose name is no Service's, because it is misspelt or the Service was deleted: the mode of mutual TLS and the policies of
 * the whole mesh, and no more. Undefined: those ask nothing. Where it is there every Service has listeners of its own, so that one which asks for less is not held to it.
 */
export function meshInbound({ jwt, authorization, external }: Security, mode: MtlsMode): Resource | undefined {
  const security = [...jwt.filters(undefined), ...authorization.filters(undefined, []), ...external.filters(undefined)];
  if (mode === 'disabled' && security.length === 0) return undefined;
  const routes = [{ name: 'default', ...EVERYTHING, non_forwarding_action: {} }];
  return inboundListener(ANY, { resourceName: ANY, targetPort: DEFAULT_PORT }, { routes, security }, mode);
}

const ANY = MESH_INBOUND.slice(INBOUND_PREFIX.length);

/** What says who may come in, in the order in which requests meet it. */
export interface Security {
  readonly jwt: JwtFilters;
  readonly authorization: AuthorizationFilters;
  readonly external: ExternalAuthorization;
}

/** What a server does to requests: its routes, and the filters that are there whatever routes say. */
export interface Inbound {
  readonly routes: readonly Resource[];
  readonly security: readonly Resource[];
}

/** Of a port: what the listener has of it. */
type InboundPort = Pick<MeshPort, 'resourceName' | 'targetPort'>;

/** What browsers are told, by the rule or by its only backend. Whoever asks a server itself has met no caller's route that would have told him. */
function corsOf(route: RouteDocument, index: number): CorsSpec | undefined {
  if (route.kind !== 'HTTPRoute') return undefined;
  const { filters = [], backendRefs = [] } = route.spec.rules[index] ?? {};
  const [first, ...others] = backendRefs;
  const all = others.length === 0 ? [...filters, ...(first?.filters ?? [])] : filters;
  return all.find(({ cors }) => cors !== undefined)?.cors;
}

/**
 * `inmesh.dev/inbound/<form>`: a server's listener (gRFC A36) for each form of the Service's name and port that callers may use, so that a server finds it by
 * whatever name it has for itself. The address is where the Service's `targetPort` says; one listens where it likes, and goes by the name. Its routes are inline.
 *
 * Its only filter chain is the default one, plaintext for any connection, where mTLS is disabled. Else there is one for TLS, and beside it with `permissive` one for
 * plaintext, with the same routes; with `strict` plaintext has none, and is refused. Absent where no policy has `side: server`, no route CORS, mTLS is disabled, and nothing is asked mesh-wide.
 */
export function inboundListener(form: string, port: InboundPort, inbound: Inbound, mode: MtlsMode): Resource {
  const { routes, security } = inbound;
  const name = port.resourceName;
  const filters = listenerFilters(routes);
  const manager = any('envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager', {
    stat_prefix: name,
    route_config: { name, virtual_hosts: [{ name, domains: ['*'], routes }] },
    http_filters: [
      ...filters.filter(({ name }) => name === CORS), // first: a preflight says nothing of who asks
      ...security, // before all that counts and delays: who may not come in is not counted
      ...filters.filter(({ name }) => name !== CORS),
      { name: 'envoy.filters.http.router', typed_config: any('envoy.extensions.filters.http.router.v3.Router') },
    ],
  });
  return {
    name: `${INBOUND_PREFIX}${form}`,
    address: { socket_address: { address: '0.0.0.0', port_value: port.targetPort } },
    ...chains(mode, [{ name: 'envoy.filters.network.http_connection_manager', typed_config: manager }]),
  };
}

function chains(mode: MtlsMode, filters: readonly Resource[]): Resource {
  if (mode === 'disabled') return { default_filter_chain: { filters } };
  const chain = (name: string, protocol: string, more: Resource = {}): Resource => ({
    name,
    filter_chain_match: { transport_protocol: protocol },
    filters,
    ...more,
  });
  const mutual = chain('mtls', 'tls', downstreamTls());
  return { filter_chains: mode === 'strict' ? [mutual] : [mutual, chain('plaintext', 'raw_buffer')] };
}
