export type { ServerWatcher } from './server-tracker.js';
export { type WatchServersOptions, watchServers } from './watch-servers.js';
