import type { Resource } from '../../core/resources.js';
import type { DocumentOf } from '../yaml/document.js';
import type { JwtRule } from '../yaml/schema/jwt.js';
import type { Own } from './limit-rules.js';
import { any, duration } from './proto.js';
import type { References } from './references.js';
import { ownConfig } from './request-filters.js';
import type { MeshService } from './services.js';

type Policy = DocumentOf<'AuthenticationPolicy'>;

const JWT = 'envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication';
const OWN_JWT = 'inmesh.dev/jwt';
/** Cluster that Envoy would ask for keys. Clients of ours go by the URL. */
const KEYS_CLUSTER = 'inmesh.dev/jwks';

/** What servers ask of the tokens of users: of each Service the policy that names it, else that of the mesh. */
export class JwtFilters {
  readonly #own = new Map<MeshService, Policy>();
  readonly #mesh: Policy | undefined;

  constructor(
    private readonly policies: readonly Policy[],
    references: References,
  ) {
    let mesh: Policy | undefined;
    for (const policy of policies) {
      const { jwt, targetRefs } = policy.spec;
      if (jwt === undefined) continue;
      const twice = (whose: string): void =>
        references.report(policy, ['spec', 'jwt'], `there is another policy with jwt for ${whose}: keep one`);
      if (targetRefs === undefined) {
        if (mesh !== undefined) twice('the mesh');
        mesh ??= policy;
        continue;
      }
      targetRefs.forEach(({ name }, index) => {
        const service = references.service(policy, ['spec', 'targetRefs', index, 'name'], policy.namespace, name);
        if (service === undefined) return;
        if (this.#own.has(service)) twice(`Service "${name}"`);
        else this.#own.set(service, policy);
      });
    }
    this.#mesh = mesh;
  }

  /** What is valid, and surely not as meant. */
  advise(references: References, keyFileFault: (path: string) => string | undefined = () => undefined): void {
    for (const policy of this.policies) {
      policy.spec.jwt?.forEach(({ jwksFile }, index) => {
        const fault = jwksFile === undefined ? undefined : keyFileFault(jwksFile);
        if (fault !== undefined)
          references.report(
            policy,
            ['spec', 'jwt', index, 'jwksFile'],
            `has no keys, read from this folder, and servers refuse all tokens without them: ${fault}`,
            { expected: 'a file with a JWKS' },
          );
      });
    }
  }

  /** Whether servers of a Service verify tokens. */
  asks(service: MeshService): boolean {
    return (this.#own.get(service) ?? this.#mesh) !== undefined;
  }

  /** For `http_filters` of the servers of a Service, before all others. Undefined: of those that are no Service's. */
  filters(service: MeshService | undefined): Resource[] {
    const policy = (service && this.#own.get(service)) ?? this.#mesh;
    if (policy?.spec.jwt === undefined) return [];
    const { namespace, name, spec } = policy;
    const rules = (spec.jwt ?? []).map((rule, i) => ({ provider: `${namespace}/${name}/${i}`, rule }));
    const config = any(JWT, {
      providers: Object.fromEntries(rules.map(({ provider, rule }) => [provider, jwtProvider(rule)])),
      rules: [{ match: { prefix: '/' }, requires: requirement(spec.jwtRequirement ?? 'required', rules) }],
    });
    const own = Object.fromEntries(rules.map(({ provider, rule }) => [provider, ownOptions(rule)]));
    return [
      { name: 'envoy.filters.http.jwt_authn', typed_config: config },
      // Others ignore it: what they do without is told in the docs.
      { name: OWN_JWT, is_optional: true, typed_config: ownConfig(OWN_JWT, { providers: own }) },
    ];
  }
}

function requirement(
  mode: NonNullable<Policy['spec']['jwtRequirement']>,
  rules: readonly { readonly provider: string }[],
): Resource {
  if (mode === 'optional') return { allow_missing: {} };
  if (mode === 'any') return { allow_missing_or_failed: {} };
  const each = rules.map(({ provider }) => ({ provider_name: provider }));
  return each.length === 1 ? (each[0] as Resource) : { requires_any: { requirements: each } };
}

const ownOptions = ({ algorithms, keepDuration }: JwtRule): Own => ({
  keep_ms: keepDuration,
  ...(algorithms !== undefined && { algorithms }),
});

function jwtProvider(rule: JwtRule): Resource {
  return {
    issuer: rule.issuer,
    ...(rule.audiences !== undefined && { audiences: rule.audiences }),
    ...keys(rule),
    ...(rule.forwardOriginalToken && { forward: true }),
    ...(rule.fromHeaders !== undefined && {
      from_headers: rule.fromHeaders.map(({ name, prefix }) => ({
        name,
        ...(prefix !== '' && { value_prefix: prefix }),
      })),
    }),
    ...(rule.fromParams !== undefined && { from_params: rule.fromParams }),
    ...(rule.fromCookies !== undefined && { from_cookies: rule.fromCookies }),
    ...(rule.outputPayloadToHeader !== undefined && { forward_payload_header: rule.outputPayloadToHeader }),
    ...(rule.outputClaimToHeaders !== undefined && {
      claim_to_headers: rule.outputClaimToHeaders.map(({ header, claim }) => ({
        header_name: header,
        claim_name: claim,
      })),
    }),
    clock_skew_seconds: rule.clockSkew / 1_000,
    ...(rule.requireExpiration && { require_expiration: true }),
    ...(rule.maxLifetime !== undefined && { max_lifetime: duration(rule.maxLifetime) }),
  };
}

function keys({ jwksUri, jwks, jwksFile, timeout, cacheDuration }: JwtRule): Resource {
  if (jwksUri === undefined)
    return { local_jwks: jwks === undefined ? { filename: jwksFile ?? '' } : { inline_string: jwks } };
  return {
    remote_jwks: {
      http_uri: { uri: jwksUri, cluster: KEYS_CLUSTER, timeout: duration(timeout) },
      cache_duration: duration(cacheDuration),
      async_fetch: {},
    },
  };
}
