export { channelCredentials, type CredentialsEnv } from './channel.js';
