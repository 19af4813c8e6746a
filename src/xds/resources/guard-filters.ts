import {
  ASYMMETRIC_ALGORITHMS,
  type JwtAlgorithm,
  type JwtAuthentication,
  SYMMETRIC_ALGORITHMS,
} from '../../core/model/authentication.js';
import type { ExtAuthz } from '../../core/model/ext-authz.js';
import { MATCHES_ALL } from '../../core/model/match.js';
import type { Route } from '../../core/model/route.js';
import { type Extension, extension } from './any.js';
import { type ExtAuthzOverride, extAuthz, extAuthzOverride, extAuthzUnder } from './filter-ext-authz.js';
import { type JwtFilter, jwtFilter, jwtOverride, jwtUnder } from './filter-jwt.js';
import type { Message } from './message.js';
import { numberIn, onlyFields, ownConfig } from './own-config.js';

export const JWT = 'envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication';
export const JWT_OVERRIDE = 'envoy.extensions.filters.http.jwt_authn.v3.PerRouteConfig';
export const EXT_AUTHZ = 'envoy.extensions.filters.http.ext_authz.v3.ExtAuthz';
export const EXT_AUTHZ_OVERRIDE = 'envoy.extensions.filters.http.ext_authz.v3.ExtAuthzPerRoute';
/** Of providers, by their names, what Envoy's filter has no words for: `{ providers: { <name>: { algorithms, keep_ms } } }`. */
export const OWN_JWT = 'inmesh.dev/jwt';

/** A filter of a listener that says who the user is, or asks somebody else whether he may. One that is disabled is there for routes that speak to it. */
export type GuardFilter =
  | { readonly kind: 'jwt'; readonly filter: string; readonly disabled: boolean; readonly jwt: JwtFilter }
  | { readonly kind: 'ext_authz'; readonly filter: string; readonly disabled: boolean; readonly extAuthz: ExtAuthz };

/** What a route says to one. */
export type GuardOverride =
  | { readonly kind: 'jwt'; readonly said: ReturnType<typeof jwtOverride> }
  | { readonly kind: 'ext_authz'; readonly said: ExtAuthzOverride };

/** Those of a listener, in their order. */
export function guardFilters(filters: readonly Message[]): GuardFilter[] {
  const own = filters.map((filter) => extension(filter.required('typed_config'))).find(({ type }) => type === OWN_JWT);
  const options = own === undefined ? undefined : jwtOptions(own);
  return filters.flatMap((filter): GuardFilter[] => {
    const config = filter.required('typed_config');
    const name = filter.text('name');
    const common = { filter: name, disabled: filter.flag('disabled') };
    switch (extension(config).type) {
      case JWT:
        return [{ kind: 'jwt', ...common, jwt: withOptions(jwtFilter(config), options) }];
      case EXT_AUTHZ:
        return [{ kind: 'ext_authz', ...common, extAuthz: extAuthz(config, name) }];
      default:
        return [];
    }
  });
}

/** Undefined: it is of another kind. */
export function guardOverride(type: string, config: Message): GuardOverride | undefined {
  if (type === JWT_OVERRIDE) return { kind: 'jwt', said: jwtOverride(config) };
  return type === EXT_AUTHZ_OVERRIDE ? { kind: 'ext_authz', said: extAuthzOverride(config) } : undefined;
}

/** What they come to for a route. */
export function guardsUnder(
  filters: readonly GuardFilter[],
  overrideOf: (filter: string) => GuardOverride | 'off' | undefined,
): Pick<Route, 'authentication' | 'extAuthz'> {
  const authentication: JwtAuthentication[] = [];
  const asked: ExtAuthz[] = [];
  for (const guard of filters) {
    const override = overrideOf(guard.filter);
    if (override === 'off') continue;
    if (guard.kind === 'jwt') {
      const said = override?.kind === 'jwt' ? override.said : undefined;
      if (said === undefined ? !guard.disabled : said !== 'off')
        authentication.push(
          said === undefined || said === 'off' ? guard.jwt.authentication : named(guard.jwt, said.requirement),
        );
    } else {
      const said = override?.kind === 'ext_authz' ? override.said : undefined;
      if (said === undefined ? !guard.disabled : said !== 'off')
        asked.push(said === undefined || said === 'off' ? guard.extAuthz : extAuthzUnder(guard.extAuthz, said));
    }
  }
  return {
    ...(authentication.length > 0 && { authentication }),
    ...(asked.length > 0 && { extAuthz: asked }),
  };
}

/** A route that names a requirement that is not there lets nobody in ("Wrong requirement_name", Envoy). */
const named = (jwt: JwtFilter, requirement: string): JwtAuthentication =>
  jwtUnder(jwt, requirement) ?? {
    ...jwt.authentication,
    rules: [{ match: MATCHES_ALL, requirement: { kind: 'any', of: [] } }],
  };

interface JwtOptions {
  readonly algorithms: readonly JwtAlgorithm[] | undefined;
  readonly keepMs: number | undefined;
}

const ALGORITHMS: readonly JwtAlgorithm[] = [...ASYMMETRIC_ALGORITHMS, ...SYMMETRIC_ALGORITHMS];
const MAX_KEEP_MS = 31_536_000_000;

/** Throws ResourceError. */
export function jwtOptions(own: Extension): ReadonlyMap<string, JwtOptions> {
  const config = ownConfig(own);
  onlyFields(config, ['providers']);
  return new Map(
    config.map('providers').map(([name, provider]) => {
      onlyFields(provider, ['algorithms', 'keep_ms']);
      const algorithms = provider.has('algorithms')
        ? provider.texts('algorithms').map((text, i) => {
            const known = ALGORITHMS.find((algorithm) => algorithm === text);
            if (known === undefined)
              throw provider.error(`algorithms[${i}]`, `must be one of ${ALGORITHMS.join(', ')}`);
            return known;
          })
        : undefined;
      return [name, { algorithms, keepMs: numberIn(provider, 'keep_ms', { min: 1, max: MAX_KEEP_MS }, undefined) }];
    }),
  );
}

function withOptions(jwt: JwtFilter, options: ReadonlyMap<string, JwtOptions> | undefined): JwtFilter {
  if (options === undefined) return jwt;
  const { authentication } = jwt;
  const providers = authentication.providers.map((provider) => {
    const { algorithms, keepMs } = options.get(provider.name) ?? {};
    return {
      ...provider,
      ...(algorithms !== undefined && { algorithms }),
      ...(keepMs !== undefined && { keys: { ...provider.keys, keepMs } }),
    };
  });
  return { ...jwt, authentication: { ...authentication, providers } };
}
