import type { Resource } from '../../core/resources.js';
import type { CorsSpec } from '../yaml/schema/cors.js';
import type { SessionSpec } from '../yaml/schema/session.js';
import { isAuthorizationFilter } from './authorization.js';
import { compareText } from './precedence.js';
import { any, duration } from './proto.js';
import { LIMITS, optional } from './request-filters.js';

/** Names of the filters in listeners, by which routes speak to them. */
export const CORS = 'envoy.filters.http.cors';
const SESSION = 'envoy.filters.http.stateful_session';
const STATEFUL_SESSION = 'envoy.extensions.filters.http.stateful_session.v3';

/** What a route says to the filters of its listener: `typed_per_filter_config`. `policies`: entries of policies of requests. */
export function filterOverrides(
  cors: CorsSpec | undefined,
  session: Session | undefined,
  policies: Resource,
): Resource {
  const overrides = {
    ...policies,
    ...(cors !== undefined && { [CORS]: optional(corsPolicy(cors)) }),
    ...(session !== undefined && { [SESSION]: optional(sessionOverride(session)) }),
  };
  return Object.keys(overrides).length === 0 ? {} : { typed_per_filter_config: overrides };
}

/**
 * The filters that these routes speak to, for `http_filters`, in the order in which requests meet them: limits before faults, and each policy of faults by
 * itself. They do nothing for other routes.
 */
export function listenerFilters(routes: readonly Resource[]): Resource[] {
  const used = new Map<string, Resource>();
  for (const route of routes)
    for (const [name, override] of Object.entries((route['typed_per_filter_config'] as Resource | undefined) ?? {}))
      if (!isAuthorizationFilter(name)) used.set(name, (override as Resource)['config'] as Resource);
  return [...used]
    .map(([name, config]) => ({ name, typed_config: filterConfig(name, config) }))
    .sort((a, b) => order(a.name) - order(b.name) || compareText(a.name, b.name))
    .map((filter) => ({ ...filter, is_optional: true }));
}

/** Filters of faults have the names of their policies. */
const order = (name: string): number => (name === CORS ? 0 : name === LIMITS ? 1 : name === SESSION ? 3 : 2);

/** The same filter without anything to do, for the routes that say nothing to it. */
function filterConfig(name: string, override: Resource): Resource {
  if (name === CORS) return any('envoy.extensions.filters.http.cors.v3.Cors');
  if (name === SESSION) return any(`${STATEFUL_SESSION}.StatefulSession`);
  const { '@type': type, type_url } = override;
  return { '@type': type as string, ...(type_url !== undefined && { type_url: type_url as string }) };
}

export interface Session {
  readonly spec: SessionSpec;
  /** When it has none of its own. */
  readonly name: string;
  /** Path of its cookie. */
  readonly path: string;
}

function sessionOverride({ spec, name, path }: Session): Resource {
  const { type, absoluteTimeout, sessionName = name, strict } = spec;
  const state = (file: string, message: string, fields: Resource): Resource => ({
    name: `envoy.http.stateful_session.${file}`,
    typed_config: any(`envoy.extensions.http.stateful_session.${file}.v3.${message}`, fields),
  });
  const session_state =
    type === 'Header'
      ? state('header', 'HeaderBasedSessionState', { name: sessionName.toLowerCase() })
      : state('cookie', 'CookieBasedSessionState', {
          cookie: { name: sessionName, ...(absoluteTimeout !== undefined && { ttl: duration(absoluteTimeout) }), path },
        });
  return any(`${STATEFUL_SESSION}.StatefulSessionPerRoute`, {
    stateful_session: { session_state, ...(strict === true && { strict: true }) },
  });
}

function corsPolicy(cors: CorsSpec): Resource {
  const list = (field: string, values: readonly string[] | undefined): Resource =>
    values === undefined || values.length === 0 ? {} : { [field]: values.join(', ') };
  return any('envoy.extensions.filters.http.cors.v3.CorsPolicy', {
    ...(cors.allowOrigins.length > 0 && { allow_origin_string_match: cors.allowOrigins.map(originMatch) }),
    // "*" becomes what the request asks for: "return a single HTTP method matching the value of the Access-Control-Request-Method request header".
    ...list('allow_methods', cors.allowMethods),
    ...list('allow_headers', cors.allowHeaders),
    ...list('expose_headers', cors.exposeHeaders),
    max_age: String(cors.maxAge),
    ...(cors.allowCredentials && { allow_credentials: { value: true } }),
    // False, the wrapper's default. "the gateway returns 204/200 response but doesn't set the relevant cross-origin response headers" - HTTPCORSFilter.
    forward_not_matching_preflights: {},
  });
}

/** Browsers write origins in lower case and leave out the port of the scheme. `*` stands for one or more labels (GEP-1767). */
function originMatch(origin: string): Resource {
  if (origin === '*') return { safe_regex: { regex: '.*' } };
  const plain = origin.toLowerCase().replace(/^(http:.*):80$|^(https:.*):443$/, '$1$2');
  if (!plain.includes('*')) return { exact: plain };
  const regex = plain.replace(/[.+?^${}()|[\]\\]/g, '\\$&').replace('*', '[^/:]+');
  return { safe_regex: { regex } };
}
