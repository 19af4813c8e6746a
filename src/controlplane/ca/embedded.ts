import { type Clock, systemClock } from '../../core/clock.js';
import { IdentityError } from '../../core/errors.js';
import type { IdentitySource } from '../../core/identity.js';
import { type Logger, silentLogger } from '../../core/log.js';
import { type Random, systemRandom } from '../../core/random.js';
import { parseWorkloadId } from '../../identity/spiffe-id.js';
import { sourceOf, Watchers } from '../../identity/watchers.js';
import { CertificateAuthority } from './authority.js';
import { authorityIdentity } from './authority-identity.js';
import type { KeyAlgorithm } from './x509/algorithms.js';

export interface EmbeddedIdentityOptions {
  /** Where the authority is; made at the first start, shared by all processes of this user that name it. */
  readonly directory: string;
  readonly spiffeId: string;
  /** Default `ecdsa-p256`, for the authority when it is made and for this workload's key. */
  readonly algorithm?: KeyAlgorithm;
  /** Lifetime of this workload's certificates, in milliseconds. Default 24 h. */
  readonly lifetimeMs?: number;
  readonly clock?: Clock;
  readonly random?: Random;
  readonly logger?: Logger;
}

/** When the authority could not be opened: again after this, in milliseconds. */
const REOPEN_MS = 5_000;

/**
 * The identity of a workload whose configuration is embedded: an authority in a folder beside it, with no process of its own. Whoever may read the folder may have any
 * identity of its trust domain: it is for the processes of one user on one machine.
 */
export function embeddedIdentity(options: EmbeddedIdentityOptions): IdentitySource {
  const {
    directory,
    clock = systemClock,
    random = systemRandom,
    logger = silentLogger,
    algorithm,
    lifetimeMs,
  } = options;
  const { id: spiffeId, trustDomain } = parseWorkloadId(options.spiffeId, 'spiffeId');
  const watchers = new Watchers(`ca ${directory}`);
  let authority: CertificateAuthority | undefined;
  let own: IdentitySource | undefined;
  let cancelRetry: (() => void) | undefined;
  let opening: Promise<void>;

  const open = async (): Promise<void> => {
    try {
      const opened = await CertificateAuthority.open({
        directory,
        trustDomain,
        clock,
        logger,
        ...(algorithm && { algorithm }),
      });
      if (watchers.closed) return await opened.close();
      authority = opened;
      const common = { spiffeId, lifetimeMs, by: 'embedded', clock, random, logger };
      own = authorityIdentity(opened, { ...common, ...(algorithm && { algorithm }) });
      own.watch({ changed: (state) => watchers.changed(state), failed: (error) => watchers.failed(error) });
    } catch (error) {
      if (watchers.closed) return;
      logger.warn('the CA cannot be opened', { directory, error: String(error) });
      watchers.failed(new IdentityError(`ca ${directory}: ${(error as Error).message}`, { cause: error }));
      cancelRetry = clock.after(
        REOPEN_MS,
        () => {
          opening = open();
        },
        { background: true },
      );
    }
  };
  opening = open();
  return sourceOf(watchers, async () => {
    cancelRetry?.();
    await opening;
    await own?.close();
    await authority?.close();
  });
}
