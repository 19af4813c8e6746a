import type { Resource } from '../../core/resources.js';
import type { DocumentOf } from '../yaml/document.js';
import { any, duration, wrapped } from './proto.js';
import type { FoundBackend, References } from './references.js';
import type { MeshService } from './services.js';

type Policy = DocumentOf<'ExternalAuthorizationPolicy'>;

const EXT_AUTHZ = 'envoy.extensions.filters.http.ext_authz.v3.ExtAuthz';
const PREFIX = 'inmesh.dev/external-authorization/';
/** `type.v3.StatusCode`. */
const STATUS_NAMES = {
  401: 'Unauthorized',
  403: 'Forbidden',
  429: 'TooManyRequests',
  500: 'InternalServerError',
  503: 'ServiceUnavailable',
} as const;

/** Gives servers the ext_authz filters that ExternalAuthorizationPolicies come to. */
export class ExternalAuthorization {
  readonly #of = new Map<MeshService, Policy[]>();
  readonly #everywhere: Policy[] = [];
  readonly #asked = new Map<Policy, FoundBackend>();

  constructor(policies: readonly Policy[], references: References, dangling: References) {
    for (const policy of policies) {
      const found = dangling.backend(policy, ['spec', 'service'], policy.spec.service);
      if (found !== undefined) this.#asked.set(policy, found);
      if (policy.spec.targetRefs === undefined) this.#everywhere.push(policy);
      policy.spec.targetRefs?.forEach(({ name }, index) => {
        const service = references.service(policy, ['spec', 'targetRefs', index, 'name'], policy.namespace, name);
        if (service !== undefined) this.#of.set(service, [...(this.#of.get(service) ?? []), policy]);
      });
    }
  }

  /** For `http_filters` of the servers of a Service, after those that need no one to be asked. The service that is asked is not asked about itself. Undefined: of those that are no Service's. */
  filters(service: MeshService | undefined): Resource[] {
    const own = (service && this.#of.get(service)) ?? [];
    const others = this.#everywhere.filter(
      (policy) => service === undefined || this.#asked.get(policy)?.service !== service,
    );
    return [...new Set([...own, ...others])].map((policy) => this.#filter(policy));
  }

  #filter(policy: Policy): Resource {
    const { spec, namespace, name } = policy;
    // One that is not there answers nobody: what becomes of requests then, the policy says.
    const cluster = this.#asked.get(policy)?.port.resourceName ?? `${PREFIX}none`;
    const { includeRequestBody: body } = spec;
    return {
      name: `${PREFIX}${namespace}/${name}`,
      typed_config: any(EXT_AUTHZ, {
        transport_api_version: 'V3',
        ...(spec.protocol === 'http' ? httpService(spec, cluster) : grpcService(spec, cluster)),
        ...(spec.onFailure === 'allow' && { failure_mode_allow: true, failure_mode_allow_header_add: true }),
        status_on_error: { code: STATUS_NAMES[spec.statusOnError] },
        ...(body !== undefined && {
          with_request_body: {
            max_request_bytes: body.maxBytes,
            ...(body.allowPartial && { allow_partial_message: true }),
            ...(body.asBytes && { pack_as_bytes: true }),
          },
        }),
        charge_cluster_response_stats: wrapped(true),
      }),
    };
  }
}

const grpcService = ({ timeout }: Policy['spec'], cluster: string): Resource => ({
  grpc_service: { envoy_grpc: { cluster_name: cluster }, timeout: duration(timeout) },
});

function httpService({ timeout, http = {} }: Policy['spec'], cluster: string): Resource {
  const response = {
    ...patterns('allowed_upstream_headers', http.headersToUpstream),
    ...patterns('allowed_client_headers', http.headersToDownstream),
    ...patterns('allowed_client_headers_on_success', http.headersToDownstreamOnAllow),
  };
  return {
    ...patterns('allowed_headers', http.includeRequestHeaders),
    http_service: {
      server_uri: { uri: `http://${cluster.split('/').pop() ?? cluster}`, cluster, timeout: duration(timeout) },
      ...(http.pathPrefix !== undefined && { path_prefix: http.pathPrefix }),
      ...(Object.keys(response).length > 0 && { authorization_response: response }),
    },
  };
}

const patterns = (field: string, names: readonly string[] | undefined): Resource =>
  names === undefined ? {} : { [field]: { patterns: names.map((name) => ({ exact: name, ignore_case: true })) } };
