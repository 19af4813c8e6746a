import { readFile } from 'node:fs/promises';
import type { Command } from 'commander';
import type { KubernetesOptions } from '../controlplane/ca/attestation/kubernetes.js';
import type { Signer } from '../controlplane/ca/signer.js';

/** Who signs in place of the authority's own keys; flags are named as Vault's are. */
export interface SignerFlags {
  readonly vaultRole?: string;
  readonly vaultAddr?: string;
  readonly vaultMount?: string;
  readonly vaultCacert?: string;
  readonly vaultTokenFile?: string;
  readonly signer?: string;
  readonly signerArg?: readonly string[];
  readonly signerRoots?: string;
}

/** Whose service accounts may have certificates; flags are named as those of the Kubernetes API server are. */
export interface KubernetesFlags {
  readonly serviceAccountIssuer?: string;
  readonly serviceAccountJwksUri?: string;
  readonly apiAudiences?: readonly string[];
  readonly serviceAccountCaFile?: string;
  readonly serviceAccountTokenFile?: string;
}

type Environment = Readonly<Record<string, string | undefined>>;

/** The arguments contradict each other, or one is missing. */
export class FlagsError extends Error {}

const together = (value: string, before: readonly string[] = []): readonly string[] => [...before, value];

export const signerFlags = (command: Command): Command =>
  command
    .option('--vault-role <role>', 'have Vault, or OpenBao, sign: role of its PKI engine; the token: VAULT_TOKEN')
    .option('--vault-addr <url>', 'where Vault is; default: VAULT_ADDR')
    .option('--vault-mount <path>', 'where its PKI engine is mounted; default: pki')
    .option('--vault-cacert <file>', 'PEM of who certifies Vault; default: VAULT_CACERT, else the system’s roots')
    .option('--vault-token-file <file>', 'in place of VAULT_TOKEN: file of the token; read each time, as it is renewed')
    .option('--signer <program>', 'have a program sign: the CSR on its standard input, the chain on its output')
    .option('--signer-arg <argument>', 'argument of the program; may be repeated', together)
    .option('--signer-roots <file>', 'PEM of the roots that the program’s chains end in');

export const kubernetesFlags = (command: Command): Command =>
  command
    .option('--service-account-issuer <url>', 'service accounts of a cluster may have certificates: iss of its tokens')
    .option('--service-account-jwks-uri <uri>', 'its keys: https://…/openid/v1/jwks, or a file')
    .option('--api-audiences <names...>', 'aud of tokens that are taken; default: inmesh and istio-ca')
    .option('--service-account-ca-file <file>', 'PEM of who certifies its API server; default: the system’s roots')
    .option('--service-account-token-file <file>', 'token to ask the API server with; read each time; default: none');

/** Undefined: none is asked for. Throws a FlagsError. */
export function kubernetesOf(flags: KubernetesFlags): KubernetesOptions | undefined {
  const { serviceAccountIssuer: issuer, serviceAccountJwksUri: jwks, apiAudiences: audiences } = flags;
  const { serviceAccountCaFile: caFile, serviceAccountTokenFile: tokenFile } = flags;
  if ([issuer, jwks, audiences, caFile, tokenFile].every((flag) => flag === undefined)) return undefined;
  if (issuer === undefined || jwks === undefined)
    throw new FlagsError('for service accounts give both --service-account-issuer and --service-account-jwks-uri');
  return { issuer, jwks, ...(audiences && { audiences }), caFile, tokenFile };
}

/** Undefined: the authority's own keys sign. Throws a FlagsError. The token of Vault is of a file or the environment: arguments are seen by all who are on the machine. */
export async function signerOf(flags: SignerFlags, environment: Environment): Promise<Signer | undefined> {
  const { vaultRole: role, vaultMount: mount, signer: program, signerArg = [], signerRoots: roots } = flags;
  const vault = [flags.vaultAddr, mount, flags.vaultCacert, flags.vaultTokenFile];
  if (role === undefined && vault.some((flag) => flag !== undefined))
    throw new FlagsError('the --vault-… options need --vault-role');
  if (program === undefined && (roots !== undefined || signerArg.length > 0))
    throw new FlagsError('--signer-arg and --signer-roots need --signer');
  if (role !== undefined && program !== undefined) throw new FlagsError('give --vault-role or --signer, and not both');
  if (program !== undefined) {
    if (roots === undefined) throw new FlagsError('--signer needs --signer-roots');
    const { processSigner } = await import('../controlplane/ca/signers/process.js');
    return processSigner({ command: [program, ...signerArg], roots });
  }
  if (role === undefined) return undefined;
  const url = flags.vaultAddr ?? environment.VAULT_ADDR;
  if (url === undefined || !URL.canParse(url))
    throw new FlagsError('--vault-role needs --vault-addr or VAULT_ADDR: https://vault.example:8200');
  const file = flags.vaultTokenFile;
  if (file === undefined && environment.VAULT_TOKEN === undefined)
    throw new FlagsError('--vault-role needs a token: --vault-token-file or VAULT_TOKEN');
  const cacert = flags.vaultCacert ?? environment.VAULT_CACERT;
  const ca = cacert === undefined ? undefined : await readFile(cacert, 'utf8');
  const token = async (): Promise<string> =>
    file === undefined ? (environment.VAULT_TOKEN as string) : (await readFile(file, 'utf8')).trim();
  const { vaultSigner } = await import('../controlplane/ca/signers/vault.js');
  return vaultSigner({ url, role, token, ...(mount !== undefined && { mount }), ...(ca !== undefined && { ca }) });
}
