import { type Clock, systemClock } from '../../core/clock.js';
import { DecodeError, knownKeys, number, record, shown, string } from '../../core/decode.js';
import { type Logger, silentLogger } from '../../core/log.js';
import { parseTrustDomain } from '../../identity/spiffe-id.js';
import { DEFAULT_LEAF_MS, DISTRIBUTE_MS, INTERMEDIATE_MS, MAX_LEAF_MS, MIN_LEAF_MS, ROOT_MS } from './constants.js';
import type { Signer } from './signer.js';
import { DEFAULT_ALGORITHM, KEY_ALGORITHMS, type KeyAlgorithm } from './x509/algorithms.js';

export interface AuthorityOptions {
  /** Where its state, keys and logs are; made for this user only (0700) where there is none. On a local disk. */
  readonly directory: string;
  /** Default: that of the directory, for a new one `cluster.local`. */
  readonly trustDomain?: string;
  /** Kind of the keys that it makes for itself. Default `ecdsa-p256`. */
  readonly algorithm?: KeyAlgorithm;
  /** An intermediate that somebody else has signed, in place of a root of its own: PEM files. `certificate` may hold more of the chain. */
  readonly intermediate?: { readonly certificate: string; readonly key: string; readonly roots: string };
  /** Signs in place of keys of its own. */
  readonly signer?: Signer;
  /** For tools beside the authority: a folder whose certificates somebody else signs is opened without him, and nothing is signed or revoked then. Default false. */
  readonly attached?: boolean;
  /** Lifetime of a leaf that asks for none, in milliseconds, 1 s to 90 d. Default 24 h. */
  readonly leafMs?: number;
  /** No leaf lives longer, in milliseconds. Default, and at most, 90 d. */
  readonly maxLeafMs?: number;
  /** How long a new root is trusted before it signs, in milliseconds. Default 1 h. */
  readonly distributeMs?: number;
  /** Lifetime of a root, in milliseconds, 1 s to 20 years. Default 10 years. */
  readonly rootMs?: number;
  /** Lifetime of an intermediate, in milliseconds, 1 s to 10 years; at half of it there is a new one. Default 1 year. */
  readonly intermediateMs?: number;
  /**
   * For how long a certificate that has ended may still be renewed, in milliseconds, 0 to 90 d (step-ca's `allowRenewalAfterExpiry`): for workloads that were up while the
   * authority was away. Whoever has an old key can come back with it for so long. Only what ended after this was first set, and was not revoked; nothing else is had with it. Default 0: none.
   */
  readonly renewalAfterExpiryMs?: number;
  readonly clock?: Clock;
  readonly logger?: Logger;
}

export interface AuthoritySettings {
  readonly directory: string;
  readonly trustDomain: string | undefined;
  readonly algorithm: KeyAlgorithm;
  readonly intermediate: AuthorityOptions['intermediate'];
  readonly signer: Signer | undefined;
  readonly attached: boolean;
  readonly leafMs: number;
  readonly maxLeafMs: number;
  readonly distributeMs: number;
  readonly rootMs: number;
  readonly intermediateMs: number;
  readonly renewalAfterExpiryMs: number;
  readonly clock: Clock;
  readonly logger: Logger;
}

const OPTIONS = [
  'directory',
  'trustDomain',
  'algorithm',
  'intermediate',
  'signer',
  'attached',
  'leafMs',
  'maxLeafMs',
  'distributeMs',
  'rootMs',
  'intermediateMs',
  'renewalAfterExpiryMs',
  'clock',
  'logger',
];

/** Throws a DecodeError that names the place. */
export function authoritySettings(options: AuthorityOptions, path = 'options'): AuthoritySettings {
  knownKeys(record(options, path), path, OPTIONS);
  const { algorithm = DEFAULT_ALGORITHM, intermediate, signer, trustDomain } = options;
  if (!KEY_ALGORITHMS.includes(algorithm))
    throw new DecodeError(`${path}.algorithm`, `must be one of ${KEY_ALGORITHMS.join(', ')}, got ${shown(algorithm)}`);
  if (intermediate !== undefined) {
    if (signer !== undefined)
      throw new DecodeError(`${path}.signer`, 'give either an intermediate or a signer, and not both');
    const place = `${path}.intermediate`;
    knownKeys(record(intermediate, place), place, ['certificate', 'key', 'roots']);
    for (const key of ['certificate', 'key', 'roots'] as const) string(intermediate[key], `${place}.${key}`);
  }
  const duration = (
    key: 'leafMs' | 'maxLeafMs' | 'distributeMs' | 'rootMs' | 'intermediateMs' | 'renewalAfterExpiryMs',
    otherwise: number,
    min: number,
    max: number,
  ) => number(options[key] ?? otherwise, `${path}.${key}`, min, max);
  const maxLeafMs = duration('maxLeafMs', MAX_LEAF_MS, MIN_LEAF_MS, MAX_LEAF_MS);
  return {
    directory: string(options.directory, `${path}.directory`),
    trustDomain: trustDomain === undefined ? undefined : parseTrustDomain(trustDomain, `${path}.trustDomain`),
    algorithm,
    intermediate,
    signer,
    attached: options.attached ?? false,
    leafMs: duration('leafMs', Math.min(DEFAULT_LEAF_MS, maxLeafMs), MIN_LEAF_MS, maxLeafMs),
    maxLeafMs,
    distributeMs: duration('distributeMs', DISTRIBUTE_MS, 0, ROOT_MS),
    rootMs: duration('rootMs', ROOT_MS, MIN_LEAF_MS, 2 * ROOT_MS),
    intermediateMs: duration('intermediateMs', INTERMEDIATE_MS, MIN_LEAF_MS, ROOT_MS),
    renewalAfterExpiryMs: duration('renewalAfterExpiryMs', 0, 0, MAX_LEAF_MS),
    clock: options.clock ?? systemClock,
    logger: options.logger ?? silentLogger,
  };
}
