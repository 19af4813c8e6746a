import * as v from 'valibot';
import { about, hostname, ignored, integer, label, listOf, oneOf, portNumber, resource, text } from './fields.js';
import { localityName } from './locality.js';
import { mtlsMode } from './mtls.js';

/** Kubernetes' standard names (KEP-3726) and the ones in common use. */
export const APP_PROTOCOLS = ['http', 'https', 'grpc', 'kubernetes.io/h2c', 'kubernetes.io/ws'] as const;

const port = v.strictObject({
  name: about(v.optional(label), 'Name of the port; needed when there are several.'),
  port: about(portNumber, 'Port that callers name.'),
  targetPort: about(
    v.optional(v.union([portNumber, label])),
    'Port of the endpoints that give none themselves. Default: the value of `port`. A name is accepted and not used.',
  ),
  protocol: about(
    v.optional(oneOf(['TCP', 'UDP', 'SCTP']), 'TCP'),
    'Only TCP is served; others are passed over. Default TCP.',
  ),
  appProtocol: about(
    v.optional(oneOf(APP_PROTOCOLS)),
    'What endpoints speak: `http` HTTP/1.1, `kubernetes.io/h2c` and `grpc` HTTP/2, `https` HTTP/1.1 over TLS (only with a DNS name). gRPC calls are always HTTP/2. Default `http`.',
  ),
  nodePort: ignored,
});

const endpoint = v.strictObject({
  address: about(
    text(1, 300),
    'IP address or host name, with or without a port: `127.0.0.1:9001`, `[::1]:9001`, `10.0.0.7`.',
  ),
  ports: about(
    v.optional(v.record(v.string(), portNumber)),
    'Port for each named port of the Service, as Istio `WorkloadEntry.ports`. Default: the port in `address`, else `targetPort`.',
  ),
  weight: about(v.optional(integer(1, 65_535), 1), 'Share of the traffic relative to the other endpoints. Default 1.'),
  version: about(
    v.optional(text(1, 63)),
    'Version that metrics and logs show. Default: the label `version` of the Service.',
  ),
  labels: about(v.optional(v.record(v.string(), v.string())), 'Labels of the endpoint (Envoy metadata `envoy.lb`).'),
  zone: about(v.optional(text(1, 253)), 'Zone in which the endpoint runs (`topology.kubernetes.io/zone`).'),
  locality: about(
    v.optional(localityName),
    'The same with its region, in place of `zone`: `region/zone/subzone` (Istio `WorkloadEntry.locality`).',
  ),
  health: about(
    v.optional(oneOf(['HEALTHY', 'UNHEALTHY', 'DRAINING', 'DEGRADED'])),
    'What is known of it (Envoy `health_status`): DRAINING gets no new calls, DEGRADED some when others are too few, UNHEALTHY none. Default: it is used.',
  ),
  hostname: about(v.optional(hostname), 'Name that checks and rewriting of hosts show it. Default: none.'),
  hashKey: about(
    v.optional(text(1, 256)),
    'What RING_HASH and MAGLEV hash in place of the address (gRFC A76, Envoy `hash_key`).',
  ),
  additionalAddresses: about(
    v.optional(listOf(text(1, 300), 1, 16)),
    'Other addresses of the same endpoint, of which the one that connects is used (gRFC A61): IP addresses, as `address` must be then.',
  ),
  healthCheckConfig: about(
    v.optional(
      v.strictObject({
        portValue: about(v.optional(portNumber), 'Port for health checks. Default: that of calls.'),
        hostname: about(v.optional(hostname), 'Host header of health checks.'),
      }),
    ),
    'Where health checks go, over what the check says (Envoy).',
  ),
});

const spec = v.strictObject({
  type: about(
    v.optional(oneOf(['ClusterIP', 'NodePort', 'LoadBalancer', 'ExternalName']), 'ClusterIP'),
    '`ExternalName` sends calls to `externalName`; the other types do not differ here. Default ClusterIP.',
  ),
  externalName: about(v.optional(hostname), 'DNS name behind a Service of type ExternalName.'),
  dns: about(v.optional(text(1, 300)), 'Short form of an external service: `host:port`, resolved by DNS.'),
  endpoints: about(
    v.optional(v.array(v.union([text(1, 300), endpoint]))),
    'Short form instead of EndpointSlices: `host:port` texts, or objects with weight, version, labels, zone.',
  ),
  ports: about(
    v.optional(v.array(port)),
    'Ports that callers may name. Without any, the Service answers with no port and on 80.',
  ),
  mtls: about(
    v.optional(mtlsMode),
    'Mutual TLS of its servers and of those who call them: `strict`, `permissive` (servers take plaintext as well) or `disabled`; an AuthenticationPolicy can say more. Default: what MeshConfig says.',
  ),
  selector: ignored,
  allocateLoadBalancerNodePorts: ignored,
  clusterIP: ignored,
  clusterIPs: ignored,
  externalIPs: ignored,
  externalTrafficPolicy: ignored,
  healthCheckNodePort: ignored,
  internalTrafficPolicy: ignored,
  ipFamilies: ignored,
  ipFamilyPolicy: ignored,
  loadBalancerClass: ignored,
  loadBalancerIP: ignored,
  loadBalancerSourceRanges: ignored,
  publishNotReadyAddresses: ignored,
  sessionAffinity: ignored,
  sessionAffinityConfig: ignored,
  trafficDistribution: ignored,
});

/** Kubernetes `Service`, with short forms for endpoints and DNS names. */
export const service = resource('Service', ['v1'], { spec: v.optional(spec, {}) });

export type ServiceSpec = v.InferOutput<typeof spec>;
export type ServicePortSpec = v.InferOutput<typeof port>;
export type InlineEndpoint = v.InferOutput<typeof endpoint>;
