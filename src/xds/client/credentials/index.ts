export {
  type ChannelCredentialsFactory,
  type CredentialsEnv,
  channelCredentials,
  requireSecrecy,
} from './channel.js';
export type { ConnectionHooks } from './identity.js';
