import { type AuthzServer, grpcAuthz, httpAuthz, type Mood } from '../../support/ext-authz-server.js';
import { serviceYaml } from '../../support/mesh-yaml.js';
import { openCarrier } from '../support/carriers.js';
import type { Opened } from '../support/served.js';

const policy = (spec: string): string => `---
apiVersion: inmesh.dev/v1alpha1
kind: ExternalAuthorizationPolicy
metadata: { name: ask }
spec: { targetRefs: [{ name: reviews }], service: { name: authz }, ${spec} }
`;

const PROTOCOLS: Record<string, (mood: Mood) => Promise<AuthzServer>> = { grpc: grpcAuthz, http: httpAuthz };
const HTTP =
  'http: { headersToUpstream: [x-user], headersToDownstreamOnAllow: [x-checked], includeRequestHeaders: [x-tenant] }';

/** A mesh whose servers of `reviews` ask a service; `more` is configuration besides. */
export async function meshAsking(opened: Opened, protocol: string, mood: Mood, spec: string, more = '') {
  const service = await (PROTOCOLS[protocol] as (typeof PROTOCOLS)[string])(mood);
  opened.push(service.close);
  const yaml =
    serviceYaml('reviews') +
    serviceYaml(
      'authz',
      `ports: [{ port: 80${protocol === 'grpc' ? ', appProtocol: kubernetes.io/h2c' : ''} }], endpoints: ["127.0.0.1:${service.port}"]`,
    ) +
    policy(
      `protocol: ${protocol}, timeout: ${mood() === 'slow' ? '50ms' : '2s'}, ${protocol === 'http' ? `${HTTP}, ` : ''}${spec}`,
    ) +
    more;
  const { mesh, close } = await openCarrier('embedded', yaml);
  opened.push(close);
  return { mesh, service };
}
