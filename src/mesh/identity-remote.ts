import { readFile } from 'node:fs/promises';
import { inBackground } from '../core/clock.js';
import type { IdentitySource } from '../core/identity.js';
import { RpcConnection } from '../identity/rpc/connection.js';
import { caIdentity } from '../identity/sources/ca.js';
import { sdsIdentity } from '../identity/sources/sds.js';
import { secretsOver } from '../xds/sds/secret-discovery.js';
import type { IdentityCa, IdentitySds } from './identity-option.js';
import type { IdentityFacts } from './identity-plan.js';

type Env = Pick<IdentityFacts, 'clock' | 'random' | 'environment' | 'service'>;

/** Certificates from an authority over gRPC, trust and revocation lists by secret discovery of the same server. */
export async function caSource(
  ca: IdentityCa & { readonly address: string; readonly spiffeId: string },
  { clock: own, random, environment, service }: Env,
): Promise<IdentitySource> {
  const clock = inBackground(own);
  const roots = ca.roots === undefined ? undefined : [await readFile(ca.roots, 'utf8')];
  return caIdentity({
    address: ca.address,
    spiffeId: ca.spiffeId,
    token: () => joinToken(ca, environment),
    roots,
    serverName: ca.serverName,
    // Others, istiod among them, have no secret discovery for those whom they certify: their root comes with each certificate.
    secrets:
      ca.serverName === undefined
        ? (connection) => secretsOver(connection, { node: service, clock, random })
        : undefined,
    clock,
    random,
  });
}

/** The option goes before the environment, a token before a file. */
async function joinToken(
  { joinToken: token, joinTokenFile: file }: IdentityCa,
  environment: Env['environment'],
): Promise<string | undefined> {
  if (token !== undefined) return token;
  if (file !== undefined) return readFile(file, 'utf8');
  if (environment.joinToken !== undefined) return environment.joinToken;
  return environment.joinTokenFile === undefined ? undefined : readFile(environment.joinTokenFile, 'utf8');
}

/** Secrets of an agent: over a Unix socket, or plaintext on loopback. */
export function sdsSource(sds: IdentitySds, { clock: own, random, service }: Env): IdentitySource {
  const clock = inBackground(own);
  const { address, ...names } = sds;
  const connection = new RpcConnection({ target: address, background: true, clock });
  return sdsIdentity({
    ...names,
    name: `SDS ${address}`,
    secrets: secretsOver(connection, { node: service, clock, random }),
    close: () => connection.close(),
  });
}
