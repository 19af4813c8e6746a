import { DecodeError, knownKeys, nearest, number, record, shown, string } from '../core/decode.js';
import type { IdentitySource } from '../core/identity.js';

/** PEM files, watched (gRFC A29 `file_watcher`). */
export interface IdentityFiles {
  /** Leaf first. Goes with `privateKey`. */
  readonly certificate?: string;
  readonly privateKey?: string;
  /** Roots: they vouch for any name, or with `trustDomain` for its names only. */
  readonly roots?: string;
  readonly trustDomain?: string;
  /** JSON: SPIFFE bundles by trust domain (gRFC A87), in place of `roots`. */
  readonly spiffeBundleMap?: string;
  /** Revocation lists. */
  readonly crls?: string;
  /** Milliseconds after which they are read anew, whatever the file system tells. Default 600,000. */
  readonly refreshIntervalMs?: number;
}

/** A certificate authority that is asked over gRPC: that of our control plane, or istiod. */
export interface IdentityCa {
  /** `host:port`. Default: the control plane's, or INMESH_CA. */
  readonly address?: string;
  /** Join token. Default: INMESH_JOIN_TOKEN. */
  readonly joinToken?: string;
  /** File with a join token, or with a token of a Kubernetes service account: read when one is needed. Default: INMESH_JOIN_TOKEN_FILE. */
  readonly joinTokenFile?: string;
  /** PEM file of roots that the server is verified with at first. Default: the root that the join token names. */
  readonly roots?: string;
  /** DNS name in the server's certificate, as istiod's: `istiod.istio-system.svc`. Default: it must have our control plane's SPIFFE ID. */
  readonly serverName?: string;
  /** Default: that of this service in the mesh's trust domain. */
  readonly spiffeId?: string;
}

/** Secret discovery of an xDS server: an agent's, or a control plane's. */
export interface IdentitySds {
  /** `unix:///run/sds.sock`, or `host:port` of this machine (127.0.0.1, ::1, localhost): the private key comes over it, and there is no TLS. */
  readonly address: string;
  /** Name of the secret with the certificate. Default `default`; false: none is wanted. */
  readonly certificate?: string | false;
  /** The same of whom to trust. Default `ROOTCA`. */
  readonly trust?: string | false;
}

/** The SPIFFE Workload API. */
export interface IdentityWorkloadApi {
  /** `unix:///run/spire/agent.sock` or `tcp://127.0.0.1:8000`. Default: SPIFFE_ENDPOINT_SOCKET. */
  readonly socket?: string;
  /** Which of several identities; default: the first. */
  readonly spiffeId?: string;
  readonly hint?: string;
}

/** Where this workload's identity comes from: one of them. */
export type IdentityOption =
  | { readonly files: IdentityFiles }
  | { readonly ca: string | IdentityCa }
  | { readonly sds: string | IdentitySds }
  | { readonly workloadApi: true | string | IdentityWorkloadApi }
  /** A source of the application's own, which stays its to close. */
  | { readonly source: IdentitySource }
  /** A certificate authority in a folder, shared by the processes of this user that name it; made at the first start. */
  | { readonly directory: string; readonly spiffeId?: string };

const SHAPES = {
  files: ['certificate', 'privateKey', 'roots', 'trustDomain', 'spiffeBundleMap', 'crls', 'refreshIntervalMs'],
  ca: ['address', 'joinToken', 'joinTokenFile', 'roots', 'serverName', 'spiffeId'],
  sds: ['address', 'certificate', 'trust'],
  workloadApi: ['socket', 'spiffeId', 'hint'],
  source: [],
  directory: [],
} as const;

type Kind = keyof typeof SHAPES;
const KINDS = Object.keys(SHAPES) as Kind[];

/** What other options of `meshClient` are checked with: no file is read, and nobody is asked. A token is not shown. */
export function checkIdentity(value: unknown): void {
  if (value === undefined) return;
  const path = 'options.identity';
  const option = record(value, path);
  const named = Object.keys(option).filter((key) => option[key] !== undefined);
  const kinds = named.filter((key): key is Kind => key in SHAPES);
  const [kind] = kinds;
  if (kind === undefined || kinds.length > 1) {
    const near = nearest(named[0] ?? '', KINDS);
    throw new DecodeError(
      path,
      `must have one of ${KINDS.join(', ')}, has ${named.join(' and ') || 'none'}${near === undefined || kinds.length > 0 ? '' : `; did you mean "${near}"?`}`,
    );
  }
  knownKeys(option, path, kind === 'directory' ? ['directory', 'spiffeId'] : [kind]);
  const at = `${path}.${kind}`;
  const given = option[kind];
  if (kind === 'source') checkSource(given, at);
  else if (kind === 'directory') {
    string(given, at);
    if (option['spiffeId'] !== undefined) string(option['spiffeId'], `${path}.spiffeId`);
  } else if (kind === 'sds' && typeof given === 'string') checkLocal(given, at);
  else if (!(kind === 'workloadApi' && given === true) && !(kind !== 'files' && typeof given === 'string'))
    checkFields(given, at, SHAPES[kind]);
}

function checkFields(value: unknown, path: string, known: readonly string[]): void {
  const fields = record(value, path);
  knownKeys(fields, path, known);
  for (const [key, field] of Object.entries(fields)) {
    const at = `${path}.${key}`;
    if (field === undefined) continue;
    if (key === 'refreshIntervalMs') number(field, at, 10, 86_400_000);
    else if (key === 'joinToken' && typeof field !== 'string') throw new DecodeError(at, 'must be a string');
    else if (!(field === false && (key === 'certificate' || key === 'trust'))) string(field, at);
    if (path.endsWith('.sds') && key === 'address') checkLocal(field as string, at);
  }
}

const LOCAL = /^(unix:\/|(127\.\d+\.\d+\.\d+|localhost|\[::1\]):\d+$)/;

/** A private key travels there. */
function checkLocal(address: string, path: string): void {
  if (!LOCAL.test(address))
    throw new DecodeError(
      path,
      `must be a Unix socket (unix:///…) or on this machine (127.0.0.1:port), got "${address}"`,
    );
}

function checkSource(value: unknown, path: string): void {
  const source = value as Partial<IdentitySource> | null;
  if (typeof source !== 'object' || typeof source?.watch !== 'function' || typeof source.close !== 'function')
    throw new DecodeError(path, `must be an IdentitySource, got ${shown(value)}`);
}

/** What the environment says where the option does not. */
export interface IdentityEnvironment {
  readonly ca: string | undefined;
  readonly joinToken: string | undefined;
  readonly joinTokenFile: string | undefined;
  readonly workloadApi: string | undefined;
}

/** Where the Workload API is, if there is one. */
export function workloadApiOf(
  option: IdentityOption | undefined,
  environment: IdentityEnvironment,
): string | undefined {
  const given = option !== undefined && 'workloadApi' in option ? option.workloadApi : true;
  return (typeof given === 'object' ? given.socket : given === true ? undefined : given) ?? environment.workloadApi;
}

/** INMESH_CA, INMESH_JOIN_TOKEN, INMESH_JOIN_TOKEN_FILE, SPIFFE_ENDPOINT_SOCKET; an empty one says nothing. */
export const identityEnvironment = (env: Readonly<NodeJS.ProcessEnv>): IdentityEnvironment => ({
  ca: env['INMESH_CA'] || undefined,
  joinToken: env['INMESH_JOIN_TOKEN'] || undefined,
  joinTokenFile: env['INMESH_JOIN_TOKEN_FILE'] || undefined,
  workloadApi: env['SPIFFE_ENDPOINT_SOCKET'] || undefined,
});
