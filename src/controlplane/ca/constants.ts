const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;

/** Lifetime of a leaf that asks for none (Istio's SECRET_TTL, 24 h). */
export const DEFAULT_LEAF_MS = DAY_MS;

/** No leaf lives longer, whatever is asked for (Istio's MAX_WORKLOAD_CERT_TTL, 90 d). */
export const MAX_LEAF_MS = 90 * DAY_MS;

/** None lives shorter: it would be renewed without end. */
export const MIN_LEAF_MS = 1_000;

/** No join token is good for longer: it lies about until it is used. */
export const MAX_TOKEN_MS = 30 * DAY_MS;

/** Lifetime of the root that the authority makes for itself: ten years, as Istio's self-signed one. */
export const ROOT_MS = 3_650 * DAY_MS;

/** Lifetime of an intermediate. Twice it is asked for: half of it passes before there is a new one, and a leaf may live for `MAX_LEAF_MS` after that. */
export const INTERMEDIATE_MS = 365 * DAY_MS;

/** A new intermediate is made when this share of the old one's lifetime has passed. */
export const INTERMEDIATE_RENEWAL = 0.5;

/** A new root is begun by itself when this share of the old one's lifetime has passed; what is left is more than an intermediate's lifetime. */
export const ROOT_RENEWAL = 0.8;

/** How long a new root is only trusted before anything is signed under it: whoever was away has time to hear of it. */
export const DISTRIBUTE_MS = HOUR_MS;

/**
 * How far back a certificate begins: a twenty-fourth of its lifetime, an hour at most. An hour is what a clock may be off by after a change of daylight
 * saving time was taken for one of the time; a leaf of seconds is not to have passed half of its life when it is made.
 */
export const BACKDATE_SHARE = 1 / 24;
export const MAX_BACKDATE_MS = HOUR_MS;

/** How long a revocation list is good for (`nextUpdate`); it is made anew at half of that, and at each revocation. */
export const CRL_MS = DAY_MS;

/** Revocations that are remembered; a list of more, 66 bytes each, would be larger than what peers accept (`MAX_PEM_BYTES`). Those of certificates that have expired are forgotten. */
export const MAX_REVOKED = 50_000;

/** Largest CSR that is read, in bytes. One for RSA-4096 with some names is 2 kB. */
export const MAX_CSR_BYTES = 16_384;
