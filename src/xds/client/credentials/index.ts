export { type CredentialsEnv, channelCredentials, requireSecrecy } from './channel.js';
