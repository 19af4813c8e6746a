/** Who a client says it is: `envoy.config.core.v3.Node`. Not authenticated; for people who read logs and the admin page. */
export interface NodeInfo {
  readonly id: string;
  readonly cluster: string;
  /** `name/version`, e.g. `envoy/1.31.2` or `gRPC C-core/1.62.0`. */
  readonly userAgent: string;
}

export const UNKNOWN_NODE: NodeInfo = { id: '', cluster: '', userAgent: '' };

/** Clients choose these texts, so they are cut to this many characters. */
const MAX_CHARS = 256;

type Fields = Readonly<Record<string, unknown>>;

const fields = (value: unknown): Fields => (typeof value === 'object' && value !== null ? (value as Fields) : {});
const text = (value: unknown): string => (typeof value === 'string' ? value.slice(0, MAX_CHARS) : '');

export function nodeInfo(node: Fields): NodeInfo {
  const build = fields(fields(node['user_agent_build_version'])['version']);
  const version = text(node['user_agent_version']) || semantic(build);
  const name = text(node['user_agent_name']);
  return {
    id: text(node['id']),
    cluster: text(node['cluster']),
    userAgent: version === '' ? name : `${name}/${version}`,
  };
}

/** Envoy says its version in numbers: `user_agent_build_version.version`. Zeros are not set in protobuf. */
function semantic(version: Fields): string {
  const parts = ['major_number', 'minor_number', 'patch'].map((part) => version[part]);
  return parts.every((part) => part === undefined) ? '' : parts.map((part) => Number(part ?? 0)).join('.');
}
