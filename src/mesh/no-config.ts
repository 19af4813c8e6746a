import type { ConfigSource } from '../core/config-source.js';

/** Nothing is configured: every host is found by DNS, with the default policies. */
export const noConfig: ConfigSource = {
  watch(_authority, watcher) {
    watcher.unknown();
    return () => {};
  },
  ready: () => Promise.resolve(),
  close: () => Promise.resolve(),
};
