import type { EgressHolder } from '../client/egress.js';
import { splitAuthority } from '../client/passthrough.js';
import { ConfigUnavailableError } from '../core/errors.js';
import type { Logger } from '../core/log.js';
import { type ClientSettings, NO_SETTINGS } from '../core/model/settings.js';
import { LISTENER, SETTINGS_LISTENER } from '../core/resources.js';
import { type CacheLease, SERVERS } from '../xds/resource-cache.js';
import type { Models } from '../xds/resources/decoders.js';

/**
 * Watches what our control plane says to every client. Hosts outside are not called until it has said something, or that there is nothing: they might be denied. What cannot
 * be read denies them, too.
 */
export function watchSettings(
  lease: (target: string) => CacheLease,
  holder: EgressHolder,
  settings: (found: ClientSettings) => void,
  logger: Logger,
): () => void {
  holder.await();
  const { cache, release } = lease(SERVERS);
  const stop = cache.watch(LISTENER, SETTINGS_LISTENER, {
    changed: (resource) => {
      const listener = resource as Models[typeof LISTENER];
      if (listener.kind === 'settings') settings(listener.settings);
    },
    failed: (error, reason) => {
      if (reason === 'does-not-exist') settings(NO_SETTINGS);
      // Nobody can be asked: hosts that the configuration does not know are those of which it says so, and it does not.
      else holder.fail(new ConfigUnavailableError(`what may be called outside is not known: ${error.message}`));
    },
    ambient: ({ message }) => logger.warn('settings of the mesh: the last ones stand', { message }),
  });
  return () => {
    stop();
    release();
  };
}

const SCHEMES = ['http', 'https'] as const;

/**
 * Whether a destination that the configuration has no more may be gone on with, as gRFC A88 has it: not where calls may leave only for what the configuration has. Then
 * whoever calls it already is refused, as somebody would be who calls it first.
 */
export function outlives({ policy }: EgressHolder, listener: string): boolean {
  return policy === undefined || SCHEMES.every((scheme) => policy.mayAlwaysLeave(splitAuthority(listener, scheme)));
}
