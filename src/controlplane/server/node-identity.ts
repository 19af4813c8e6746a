import type { NodeInfo } from './node-info.js';

/** A SPIFFE ID of Istio's form, which is ours: `spiffe://cluster.local/ns/default/sa/shop`. */
const WORKLOAD = /^spiffe:\/\/[^/]+\/ns\/([^/]+)\/sa\/([^/]+)$/;

/**
 * Why a client with this certificate is not who its node says that it is, as istiod judges it (`PILOT_ENABLE_XDS_IDENTITY_CHECK`): namespace and service account in the node's
 * metadata, as far as they are said, must be those of the SPIFFE ID. `node.cluster` is a name for people, in Envoy and gRPC as well, and is not compared. Undefined: it may be.
 */
export function nodeProblem({ id, namespace, serviceAccount }: NodeInfo, spiffeId: string): string | undefined {
  if (namespace === '' && serviceAccount === '') return undefined;
  const [, ns, account] = WORKLOAD.exec(spiffeId) ?? [];
  if ((namespace === '' || namespace === ns) && (serviceAccount === '' || serviceAccount === account)) return undefined;
  const said = [
    ...(namespace === '' ? [] : [`NAMESPACE "${namespace}"`]),
    ...(serviceAccount === '' ? [] : [`SERVICE_ACCOUNT "${serviceAccount}"`]),
  ].join(' and ');
  return `node "${id}" says in its metadata that it is of ${said}, and its certificate is that of ${spiffeId}`;
}
