import type { Resource } from '../../../../src/core/resources.js';
import { fault, localRateLimit, ownFault, ownLimits, rateLimitService } from './generate-limits.js';
import { any, type Make } from './make.js';

const SESSION = 'envoy.extensions.filters.http.stateful_session.v3';

/** The fields of both messages called `CorsPolicy`. */
export const cors = (make: Make): Resource => ({
  allow_origin_string_match: make.list(0, 2, () => make.string()),
  allow_methods: make.maybe(0.5, () => 'GET, POST'),
  allow_headers: make.maybe(0.5, () => 'x-a'),
  expose_headers: make.maybe(0.5, () => '*'),
  max_age: make.maybe(0.5, () => make.one('600', 'x')),
  allow_credentials: make.maybe(0.5, () => make.bool()),
  filter_enabled: make.maybe(0.3, () => ({ default_value: make.fraction() })),
  shadow_enabled: make.maybe(0.3, () => ({ default_value: make.fraction() })),
  allow_private_network_access: make.maybe(0.3, () => make.bool()),
  forward_not_matching_preflights: make.maybe(0.3, () => make.bool()),
});

/** The fields of a `StatefulSession`. */
const session = (make: Make): Resource => ({
  strict: make.maybe(0.3, () => make.flag()),
  session_state: make.maybe(0.9, () => ({
    name: 's',
    typed_config: make.any<Resource>(
      () =>
        any('envoy.extensions.http.stateful_session.cookie.v3.CookieBasedSessionState', {
          cookie: {
            name: make.one('s', 'session-id'),
            ttl: make.maybe(0.5, () => make.duration()),
            path: make.maybe(0.5, () => make.path()),
          },
        }),
      () => any('envoy.extensions.http.stateful_session.header.v3.HeaderBasedSessionState', { name: make.header() }),
    ),
  })),
});

export const sessionOverride = (make: Make): Resource =>
  any(
    `${SESSION}.StatefulSessionPerRoute`,
    make.any<Resource>(
      () => ({ disabled: true }),
      () => ({ stateful_session: session(make) }),
    ),
  );

/** Filters of a listener that routes have something to say to. */
export const routeFilters = (make: Make): Resource[] => [
  ...make.list(0, 1, () => ({ name: 'cors', typed_config: any('envoy.extensions.filters.http.cors.v3.Cors') })),
  ...make.list(0, 1, () => ({
    name: 'session',
    disabled: make.maybe(0.2, () => make.flag()),
    typed_config: any(`${SESSION}.StatefulSession`, session(make)),
  })),
  ...make.list(0, 1, () => filter(make, 'fault', any('envoy.extensions.filters.http.fault.v3.HTTPFault', fault(make)))),
  ...make.list(0, 1, () => filter(make, 'own-fault', ownFault(make))),
  ...make.list(0, 1, () => filter(make, 'limits', ownLimits(make))),
  ...make.list(0, 1, () => filter(make, 'local', localRateLimit(make))),
  ...make.list(0, 1, () => filter(make, 'rls', rateLimitService(make))),
];

const filter = (make: Make, name: string, typed_config: Resource): Resource => ({
  name,
  disabled: make.maybe(0.2, () => make.flag()),
  typed_config,
});
