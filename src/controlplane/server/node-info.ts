/** Who a client says it is: `envoy.config.core.v3.Node`. For people who read logs and the admin page; authenticated as far as `nodeProblem` compares it. */
export interface NodeInfo {
  readonly id: string;
  readonly cluster: string;
  /** `name/version`, e.g. `envoy/1.31.2` or `gRPC C-core/1.62.0`. */
  readonly userAgent: string;
  /** Istio's `NAMESPACE` and `SERVICE_ACCOUNT` of its metadata; '': it does not say. */
  readonly namespace: string;
  readonly serviceAccount: string;
}

export const UNKNOWN_NODE: NodeInfo = { id: '', cluster: '', userAgent: '', namespace: '', serviceAccount: '' };

/** Clients choose these texts, so they are cut to this many characters. */
const MAX_CHARS = 256;

type Fields = Readonly<Record<string, unknown>>;

const fields = (value: unknown): Fields => (typeof value === 'object' && value !== null ? (value as Fields) : {});
const text = (value: unknown): string => (typeof value === 'string' ? value.slice(0, MAX_CHARS) : '');

export function nodeInfo(node: Fields): NodeInfo {
  const build = fields(fields(node['user_agent_build_version'])['version']);
  const version = text(node['user_agent_version']) || semantic(build);
  const name = text(node['user_agent_name']);
  // `google.protobuf.Struct`.
  const metadata = fields(fields(node['metadata'])['fields']);
  const said = (key: string): string => text(fields(metadata[key])['string_value']);
  return {
    id: text(node['id']),
    cluster: text(node['cluster']),
    userAgent: version === '' ? name : `${name}/${version}`,
    namespace: said('NAMESPACE'),
    serviceAccount: said('SERVICE_ACCOUNT'),
  };
}

/** Envoy says its version in numbers: `user_agent_build_version.version`. Zeros are not set in protobuf. */
function semantic(version: Fields): string {
  const parts = ['major_number', 'minor_number', 'patch'].map((part) => version[part]);
  return parts.every((part) => part === undefined) ? '' : parts.map((part) => Number(part ?? 0)).join('.');
}
