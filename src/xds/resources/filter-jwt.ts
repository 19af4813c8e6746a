import { isHeaderName } from '../../core/header-syntax.js';
import {
  ASYMMETRIC_ALGORITHMS,
  DEFAULT_JWKS_CARE,
  DEFAULT_LOCATIONS,
  type JwksSource,
  type JwtAuthentication,
  type JwtProvider,
  type JwtRequirement,
  type TokenLocations,
} from '../../core/model/authentication.js';
import { MATCHES_ALL } from '../../core/model/match.js';
import type { Message } from './message.js';
import { routeMatch } from './route-match.js';
import { stringMatch } from './string-match.js';

/** `extensions.filters.http.jwt_authn.v3.JwtAuthentication`, decoded. */
export interface JwtFilter {
  readonly authentication: JwtAuthentication;
  /** `requirement_map`, by which routes ask for something else. */
  readonly requirements: ReadonlyMap<string, JwtRequirement>;
}

const MAX_TIMEOUT_MS = 60_000;
const MAX_SKEW_S = 3_600;
const DEFAULT_SKEW_S = 60;
const MAX_CACHED_TOKENS = 100_000;
const DEFAULT_CACHED_TOKENS = 1_000;
/** Requirements inside of requirements. */
const MAX_DEPTH = 8;

/** Reads the filter. What it says of dynamic metadata is without effect: claims are handed on as such. Throws for what would let somebody in who must not. */
export function jwtFilter(filter: Message): JwtFilter {
  // Another filter's word decides: there are none that leave any.
  if (filter.has('filter_state_rules')) throw filter.error('filter_state_rules', 'is not supported; use rules');
  const providers = filter.map('providers').map(([name, provider]) => jwtProvider(name, provider));
  const names = new Set(providers.map(({ name }) => name));
  const requirements = new Map(
    filter.map('requirement_map').map(([name, it]) => [name, requirement(it, names, 0)] as const),
  );
  const rules = filter.messages('rules').map((rule) => {
    const match = routeMatch(rule.required('match'));
    if (match === undefined)
      throw rule.error('match', 'asks for what no request has here (dynamic_metadata, filter_state)');
    return { match, requirement: required(rule, names, requirements) };
  });
  return {
    authentication: { providers, rules, bypassPreflight: filter.flag('bypass_cors_preflight') },
    requirements,
  };
}

function required(
  rule: Message,
  names: ReadonlySet<string>,
  requirements: ReadonlyMap<string, JwtRequirement>,
): JwtRequirement | undefined {
  switch (rule.oneof('requires', 'requirement_name')) {
    case 'requires':
      return requirement(rule.required('requires'), names, 0);
    case 'requirement_name': {
      const found = requirements.get(rule.requiredText('requirement_name'));
      if (found === undefined) throw rule.error('requirement_name', 'must be one of requirement_map');
      return found;
    }
    default:
      return undefined;
  }
}

/** What a route asks in place of the rules. Undefined: there is no such requirement, and nothing can be let through. */
export const jwtUnder = ({ authentication, requirements }: JwtFilter, named: string): JwtAuthentication | undefined => {
  const found = requirements.get(named);
  return found && { ...authentication, rules: [{ match: MATCHES_ALL, requirement: found }] };
};

/** `PerRouteConfig`. */
export function jwtOverride(override: Message): 'off' | { readonly requirement: string } {
  if (override.oneof('disabled', 'requirement_name') === 'requirement_name')
    return { requirement: override.requiredText('requirement_name') };
  // "const: true" - config.proto
  if (!override.flag('disabled')) throw override.error('', 'must have disabled: true, or a requirement_name');
  return 'off';
}

function requirement(message: Message, names: ReadonlySet<string>, depth: number): JwtRequirement {
  if (depth > MAX_DEPTH) throw message.error('', `is nested more than ${MAX_DEPTH} deep`);
  const known = (owner: Message): string => {
    const name = owner.requiredText('provider_name');
    if (!names.has(name)) throw owner.error('provider_name', 'must be one of providers');
    return name;
  };
  const members = (field: string): JwtRequirement[] => {
    const found = message.required(field).messages('requirements');
    // "min_items: 2" - config.proto
    if (found.length < 2) throw message.error(field, 'must have at least two requirements');
    return found.map((it) => requirement(it, names, depth + 1));
  };
  switch (
    message.oneof(
      'provider_name',
      'provider_and_audiences',
      'requires_any',
      'requires_all',
      'allow_missing_or_failed',
      'allow_missing',
    )
  ) {
    case 'provider_name':
      return { kind: 'provider', provider: known(message) };
    case 'provider_and_audiences': {
      const both = message.required('provider_and_audiences');
      return { kind: 'provider', provider: known(both), audiences: both.texts('audiences') };
    }
    case 'requires_any':
      return { kind: 'any', of: members('requires_any') };
    case 'requires_all':
      return { kind: 'all', of: members('requires_all') };
    case 'allow_missing':
      return { kind: 'allow_missing' };
    case 'allow_missing_or_failed':
      return { kind: 'allow_missing_or_failed' };
    default:
      throw message.error('', 'must say what is required');
  }
}

function jwtProvider(name: string, provider: Message): JwtProvider {
  const skew = provider.uint32('clock_skew_seconds') || DEFAULT_SKEW_S;
  if (skew > MAX_SKEW_S) throw provider.error('clock_skew_seconds', `must be at most ${MAX_SKEW_S}, got ${skew}`);
  const issuer = provider.text('issuer');
  const subjects = provider.message('subjects');
  const cache = provider.message('jwt_cache_config');
  return {
    name,
    issuer: issuer === '' ? undefined : issuer,
    audiences: provider.texts('audiences'),
    subject: subjects && stringMatch(subjects),
    ...keysOf(provider),
    algorithms: ASYMMETRIC_ALGORITHMS,
    skewMs: skew * 1_000,
    requireExpiration: provider.flag('require_expiration'),
    maxLifetimeMs: provider.duration('max_lifetime'),
    from: locations(provider),
    forward: provider.flag('forward'),
    payloadHeader:
      provider.text('forward_payload_header') === '' ? undefined : headerName(provider, 'forward_payload_header'),
    claimHeaders: provider
      .messages('claim_to_headers')
      .map((it) => ({ header: headerName(it, 'header_name'), claim: it.requiredText('claim_name') })),
    cacheSize: Math.min(cache?.uint32('jwt_cache_size') || DEFAULT_CACHED_TOKENS, MAX_CACHED_TOKENS),
  };
}

function keysOf(provider: Message): Pick<JwtProvider, 'jwks' | 'keys'> {
  switch (provider.oneof('remote_jwks', 'local_jwks')) {
    case 'remote_jwks': {
      const remote = provider.required('remote_jwks');
      const refreshMs = remote.duration('cache_duration') ?? DEFAULT_JWKS_CARE.refreshMs;
      // "gte {nanos: 1000000}"
      if (refreshMs < 1) throw remote.error('cache_duration', 'must be at least 1 ms');
      const keepMs = Math.max(refreshMs, DEFAULT_JWKS_CARE.keepMs);
      return { jwks: remoteKeys(remote.required('http_uri')), keys: { refreshMs, keepMs } };
    }
    case 'local_jwks':
      return { jwks: localKeys(provider.required('local_jwks')), keys: DEFAULT_JWKS_CARE };
    default:
      throw provider.error('', 'must have one of remote_jwks, local_jwks');
  }
}

/** The URL's own host is asked, by its name in the mesh or outside of it; `cluster` is Envoy's way to the same. */
function remoteKeys(uri: Message): JwksSource {
  const text = uri.requiredText('uri');
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || (url.protocol !== 'http:' && url.protocol !== 'https:') || url.username !== '')
    throw uri.error('uri', 'must be an http or https URL');
  const timeoutMs = uri.duration('timeout');
  if (timeoutMs === undefined || timeoutMs < 1 || timeoutMs > MAX_TIMEOUT_MS)
    throw uri.error('timeout', `must be from 1 ms to ${MAX_TIMEOUT_MS} ms`);
  return { kind: 'uri', uri: text, timeoutMs };
}

/** `core.v3.DataSource`. */
function localKeys(source: Message): JwksSource {
  switch (source.oneof('filename', 'inline_bytes', 'inline_string', 'environment_variable')) {
    case 'filename':
      return { kind: 'file', path: source.requiredText('filename') };
    case 'inline_string':
      return { kind: 'inline', text: source.requiredText('inline_string') };
    case 'inline_bytes':
      return { kind: 'inline', text: Buffer.from(source.bytes('inline_bytes')).toString('utf8') };
    default:
      throw source.error('', 'must have one of filename, inline_string, inline_bytes');
  }
}

/** "If not specified, the default location is: … Authorization: Bearer <token> and query parameter access_token" - config.proto. */
function locations(provider: Message): TokenLocations {
  const headers = provider
    .messages('from_headers')
    .map((header) => ({ name: headerName(header, 'name'), prefix: header.text('value_prefix') }));
  const params = provider.texts('from_params');
  const cookies = provider.texts('from_cookies');
  return headers.length + params.length + cookies.length === 0 ? DEFAULT_LOCATIONS : { headers, params, cookies };
}

function headerName(owner: Message, field: string): string {
  const name = owner.requiredText(field);
  if (!isHeaderName(name))
    throw owner.error(field, `must be the name of a header, got ${JSON.stringify(name.slice(0, 80))}`);
  return name.toLowerCase();
}
