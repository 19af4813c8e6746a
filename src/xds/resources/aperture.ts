import type { ApertureConfig } from '../../core/model/balancer.js';
import type { Message } from './message.js';
import type { Settings } from './struct.js';

/** Finagle's default of `minAperture` for its deterministic aperture. */
const DEFAULT_FLOOR = 12;
const MAX_FLOOR = 100_000;
/** Clients that share a service; no bound of Finagle's, but of what a place among them can mean. */
const MAX_PEERS = 1_000_000;

/** `RandomSubsetting` (gRFC A68). */
export function randomSubsetting(config: Message): ApertureConfig {
  const size = config.uint32Value('subset_size') ?? 0;
  // "The value must be greater than 0." - random_subsetting.proto
  if (size === 0) throw config.error('subset_size', 'must be greater than 0 (gRFC A68)');
  return { kind: 'random_subsetting', size };
}

/**
 * `inmesh.dev/deterministic_aperture` in a TypedStruct: `floor`, and `peer_index` with `peer_count` when the control plane knows this client's
 * place. It says which endpoints there are to choose from; the policies after it in the list say how. So a client that does not know it, and
 * skips it (gRFC A52), balances in the same way over all endpoints.
 */
export function deterministicAperture(settings: Settings | undefined): ApertureConfig {
  const floor = Math.ceil(settings?.number('floor', 1, MAX_FLOOR, DEFAULT_FLOOR) ?? DEFAULT_FLOOR);
  const count = Math.trunc(settings?.number('peer_count', 0, MAX_PEERS, 0) ?? 0);
  const index = Math.trunc(settings?.number('peer_index', 0, MAX_PEERS, 0) ?? 0);
  if (settings !== undefined && count > 0 && index >= count)
    throw settings.error('peer_index', `must be less than peer_count (${count}), got ${index}`);
  return { kind: 'deterministic_aperture', floor, peer: count === 0 ? undefined : { index, count } };
}
