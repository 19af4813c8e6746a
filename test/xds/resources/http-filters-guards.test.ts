import { describe, expect, test } from 'vitest';
import type { Route } from '../../../src/core/model/route.js';
import { LISTENER, type Resource } from '../../../src/core/resources.js';
import { compileText } from '../../../src/controlplane/config.js';
import { decoders } from '../../support/decoders.js';
import { refusal } from '../../support/refusal.js';
import { serviceYaml } from '../../support/mesh-yaml.js';
import { serverResource } from '../../support/server-resources.js';
import { any, routerFilter } from '../../support/xds-resources.js';

/* Envoy's filters jwt_authn and ext_authz, as a server's listener has them. */

const JWT = 'envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication';
const PER_ROUTE = 'envoy.extensions.filters.http.jwt_authn.v3.PerRouteConfig';
const EXT_AUTHZ = 'envoy.extensions.filters.http.ext_authz.v3.ExtAuthz';
const EXT_AUTHZ_ROUTE = 'envoy.extensions.filters.http.ext_authz.v3.ExtAuthzPerRoute';

const LOCAL = { local_jwks: { inline_string: '{"keys":[]}' } };
const provider = (more: Resource = {}): Resource => ({ issuer: 'i', ...LOCAL, ...more });
const jwt = (more: Resource = {}): Resource =>
  any(JWT, {
    providers: { p: provider() },
    rules: [{ match: { prefix: '/' }, requires: { provider_name: 'p' } }],
    ...more,
  });
const grpcService = { grpc_service: { envoy_grpc: { cluster_name: 'authz' } } };

const decode = (filters: readonly Resource[], overrides?: Resource): Route => {
  const route = {
    match: { prefix: '/' },
    non_forwarding_action: {},
    ...(overrides !== undefined && { typed_per_filter_config: overrides }),
  };
  const found = decoders[LISTENER](
    serverResource('l', {
      http_filters: [...filters, routerFilter],
      rds: undefined,
      route_config: { name: 'r', virtual_hosts: [{ name: 'v', domains: ['*'], routes: [route] }] },
    }),
    'l',
  );
  if (found.kind !== 'server') throw new Error('is no listener for a server');
  const { listener } = found;
  const chain = listener.filterChains[0] ?? listener.defaultFilterChain;
  if (chain?.routes.kind !== 'inline') throw new Error('no routes');
  return chain.routes.config.virtualHosts[0]?.routes[0] as Route;
};

const named = (name: string, typed_config: Resource, more: Resource = {}): Resource => ({
  name,
  typed_config,
  ...more,
});

test('what a listener’s filters ask is asked of requests that no route takes, too; what routes change of it is theirs', () => {
  const filters = [
    named('jwt', jwt()),
    named('ask', any(EXT_AUTHZ, grpcService)),
    named('off', jwt(), { disabled: true }),
  ];
  for (const source of [{ rds: { config_source: { ads: {} }, route_config_name: 'r' } }, undefined]) {
    const found = decoders[LISTENER](
      serverResource('l', {
        http_filters: [...filters, routerFilter],
        ...(source ?? { rds: undefined, route_config: { name: 'r', virtual_hosts: [] } }),
      }),
      'l',
    );
    if (found.kind !== 'server') throw new Error('is no listener for a server');
    const chain = found.listener.filterChains[0] ?? found.listener.defaultFilterChain;
    expect([chain?.authentication?.length, chain?.extAuthz?.map(({ name }) => name)]).toEqual([1, ['ask']]);
  }
});

describe('jwt_authn', () => {
  test('becomes what the route asks, with the defaults of its proto', () => {
    const [found] = decode([named('jwt', jwt())]).authentication ?? [];
    expect(found?.rules[0]?.requirement).toEqual({ kind: 'provider', provider: 'p' });
    expect(found?.providers[0]).toMatchObject({
      issuer: 'i',
      skewMs: 60_000,
      requireExpiration: false,
      forward: false,
      from: { headers: [{ name: 'authorization', prefix: 'Bearer ' }], params: ['access_token'], cookies: [] },
    });
  });

  test('asks a route for what it names in requirement_map, for nothing where it is off, and for what nobody has where there is no such name', () => {
    const filter = named('jwt', jwt({ requirement_map: { lax: { allow_missing: {} } } }));
    const under = (config: Resource): unknown =>
      decode([filter], { jwt: any(PER_ROUTE, config) }).authentication?.[0]?.rules[0]?.requirement;
    expect(under({ requirement_name: 'lax' })).toEqual({ kind: 'allow_missing' });
    expect(under({ requirement_name: 'none' })).toEqual({ kind: 'any', of: [] });
    expect(decode([filter], { jwt: any(PER_ROUTE, { disabled: true }) }).authentication).toBeUndefined();
  });

  test('that is disabled asks nothing, unless a route speaks to it', () => {
    const filter = named('jwt', jwt({ requirement_map: { lax: { allow_missing: {} } } }), { disabled: true });
    expect(decode([filter]).authentication).toBeUndefined();
    expect(decode([filter], { jwt: any(PER_ROUTE, { requirement_name: 'lax' }) }).authentication).toHaveLength(1);
  });

  test.each<[string, Resource, string]>([
    [
      'a requirement of no provider',
      { rules: [{ match: { prefix: '/' }, requires: { provider_name: 'q' } }] },
      'must be one of providers',
    ],
    ['a rule by filter state', { filter_state_rules: { name: 'x' } }, 'filter_state_rules'],
    ['a provider without keys', { providers: { p: { issuer: 'i' } } }, 'must have one of remote_jwks, local_jwks'],
    [
      'one alone in requires_any',
      { rules: [{ match: { prefix: '/' }, requires: { requires_any: { requirements: [{ provider_name: 'p' }] } } }] },
      'at least two',
    ],
    [
      'keys at what is no URL',
      {
        providers: {
          p: { remote_jwks: { http_uri: { uri: 'file:///etc/passwd', cluster: 'c', timeout: { seconds: 1 } } } },
        },
      },
      'must be an http or https URL',
    ],
    [
      'a header that cannot be',
      { providers: { p: provider({ forward_payload_header: 'x y' }) } },
      'must be the name of a header',
    ],
  ])('with %s is refused', (_, more, problem) => {
    expect(refusal(() => decode([named('jwt', jwt(more))]))).toContain(problem);
  });
});

describe('ext_authz', () => {
  test('becomes what the route asks, and denies while nobody answers unless it says otherwise', () => {
    const [found] = decode([named('authz', any(EXT_AUTHZ, grpcService))]).extAuthz ?? [];
    expect(found).toMatchObject({
      service: { kind: 'grpc', cluster: 'authz', timeoutMs: 200 },
      onFailure: 'deny',
      failureStatus: 403,
      share: 1,
    });
    expect(
      decode([named('authz', any(EXT_AUTHZ, { ...grpcService, failure_mode_allow: true }))]).extAuthz?.[0]?.onFailure,
    ).toBe('allow');
  });

  test('is told more by a route, or switched off', () => {
    const filter = named('authz', any(EXT_AUTHZ, grpcService));
    const settings = any(EXT_AUTHZ_ROUTE, { check_settings: { context_extensions: { tenant: 't' } } });
    expect(decode([filter], { authz: settings }).extAuthz?.[0]?.context).toEqual({ tenant: 't' });
    expect(decode([filter], { authz: any(EXT_AUTHZ_ROUTE, { disabled: true }) }).extAuthz).toBeUndefined();
  });

  test.each<[string, Resource, string]>([
    ['no service', {}, 'must have one of grpc_service, http_service'],
    ["a service of gRPC's own", { grpc_service: { google_grpc: {} } }, 'google_grpc is not supported'],
    ['a body of no length', { ...grpcService, with_request_body: {} }, 'max_request_bytes'],
  ])('with %s is refused', (_, config, problem) => {
    expect(refusal(() => decode([named('authz', any(EXT_AUTHZ, config))]))).toContain(problem);
  });
});

describe('a ServiceEntry with HTTPS', () => {
  test('is called by TLS under its own name, with the roots of the system, also where the call says no port', () => {
    const { resources, problems } = compileText([
      {
        name: 'mesh.yaml',
        text: `${serviceYaml('a')}
---
apiVersion: inmesh.dev/v1alpha1
kind: ServiceEntry
metadata: { name: api }
spec:
  hosts: [api.example.com]
  ports: [{ number: 80, name: http }, { number: 443, name: https, protocol: HTTPS }]
  resolution: DNS
`,
      },
    ]);
    expect(problems).toEqual([]);
    const all = Object.values(resources).flatMap((it) => [...(it as ReadonlyMap<string, Resource>)]);
    const byName = (name: string): string =>
      JSON.stringify(all.filter(([key]) => key === name).map(([, value]) => value));
    expect(byName('api.default:443')).toContain('"sni":"api.example.com"');
    expect(byName('api.default:443')).toContain('system_root_certs');
    expect(byName('api.default:80')).not.toContain('"sni"');
    expect(byName('api.example.com')).toContain('api.default:443');
    expect(byName('api.example.com:80')).toContain('api.default:80');
  });
});
