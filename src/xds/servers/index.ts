export { type WatchServersOptions, watchServers } from './watch-servers.js';
