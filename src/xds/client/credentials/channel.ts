import type * as grpc from '@grpc/grpc-js';
import type { Clock } from '../../../core/clock.js';
import type { Logger } from '../../../core/log.js';
import type { Random } from '../../../core/random.js';
import type { TlsClient } from '../../../core/tls.js';
import type { XdsServer } from '../../bootstrap/bootstrap.js';
import { CertificateFiles } from './certificate-files.js';
import { type ConnectionHooks, identityCredentials } from './identity.js';
import { JwtTokenFile } from './jwt-token-file.js';

export interface CredentialsEnv {
  readonly clock: Pick<Clock, 'now' | 'wallTime'>;
  readonly random: Random;
  readonly logger: Logger;
}

/** How one channel comes to its credentials. */
export type ChannelCredentialsFactory = (hooks?: ConnectionHooks) => grpc.ChannelCredentials;

/**
 * Credentials for a server of the bootstrap: call once for each server, and the result once for each channel. It holds the files that were read
 * last and the token, needs no closing, and throws what keeps it from making any; that may be mended before the next channel. Throws at once
 * when it never can. `identity`: TLS under the workload's own identity, for servers that are to be reached so.
 */
export function channelCredentials(
  library: typeof grpc,
  server: XdsServer,
  env: CredentialsEnv,
  identity?: TlsClient,
): ChannelCredentialsFactory {
  requireSecrecy(server);
  const { callCredentials } = server;
  const tokens = callCredentials.map(({ file }) => tokenCredentials(library, new JwtTokenFile({ file, ...env })));
  const secure = channelSecurity(library, server, env, identity);
  return (hooks = ON_ITS_OWN) =>
    tokens.reduce<grpc.ChannelCredentials>(
      (channel, token) => library.credentials.combineChannelCredentials(channel, token),
      secure(hooks),
    );
}

/** Of a channel that nobody looks after. */
const ON_ITS_OWN: ConnectionHooks = { drain() {}, handshake: () => () => {} };

function channelSecurity(
  library: typeof grpc,
  { uri, credentials: config }: XdsServer,
  { clock, logger }: CredentialsEnv,
  identity: TlsClient | undefined,
): (hooks: ConnectionHooks) => grpc.ChannelCredentials {
  if (config.kind === 'insecure') return () => library.credentials.createInsecure();
  if (config.kind === 'identity') {
    if (identity === undefined) throw new Error(`${uri} is to be reached under the workload's identity: it has none`);
    return (hooks) => identityCredentials(library, identity, hooks);
  }
  const files = new CertificateFiles(config, clock, logger);
  return () =>
    files.use(({ ca, privateKey, certificate }) => library.credentials.createSsl(ca, privateKey, certificate));
}

/** "a call credential can only be communicated over a secure channel" - L62. Throws an Error that says what to do. */
export function requireSecrecy({ uri, credentials, callCredentials }: XdsServer): void {
  if (credentials.kind !== 'insecure' || callCredentials.length === 0) return;
  throw new Error(`call_creds of ${uri} are not sent in plain text: its channel_creds must be "tls"`);
}

/** "a header named authorization. The header value will be the string Bearer (note trailing space) followed by the token value." - A97 */
function tokenCredentials(library: typeof grpc, file: JwtTokenFile): grpc.CallCredentials {
  return library.credentials.createFromMetadataGenerator((_options, callback) => {
    file.token().then(
      (token) => {
        const metadata = new library.Metadata();
        metadata.set('authorization', `Bearer ${token}`);
        callback(null, metadata);
      },
      (error: Error) => callback(error),
    );
  });
}
