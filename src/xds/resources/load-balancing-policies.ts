import type { ApertureConfig, SubsetConfig } from '../../core/model/balancer.js';
import { type Extension, extension } from './any.js';
import { deterministicAperture, randomSubsetting } from './aperture.js';
import {
  hashingOf,
  leastRequest,
  maglev,
  peakEwma,
  ringHash,
  ringHashing,
  weightedRoundRobin,
} from './load-balancing-configs.js';
import type { PolicyNames } from './context.js';
import { type LoadBalancing, plainly } from './load-balancing-parts.js';
import { policyLocality, zoneAwareSettings } from './locality.js';
import type { Message } from './message.js';
import { slowStart, slowStartSettings } from './slow-start.js';
import { plainStruct } from './struct.js';
import { subsets } from './subset.js';

const POLICIES = 'envoy.extensions.load_balancing_policies';
/** "Configurations that require more than 16 levels of recursion are considered invalid" - A52 */
const MAX_DEPTH = 16;

/** Where the policies are that a policy is built on. */
interface Around {
  /** The first supported policy of a list inside; undefined when it has none. */
  readonly child: (policy: Message) => LoadBalancing | undefined;
  /** The same of what follows in this list. */
  readonly rest: () => LoadBalancing | undefined;
}

/** A policy's configuration read; undefined when what is inside is not supported. */
type Reader = (config: Extension, around: Around) => LoadBalancing | undefined;

/** Policies of the API, by the name of their message. */
const MESSAGES: ReadonlyMap<string, Reader> = new Map<string, Reader>([
  [
    `${POLICIES}.round_robin.v3.RoundRobin`,
    ({ message }) => plainly({ kind: 'round_robin' }, policyLocality(message), slowStart(message)),
  ],
  [`${POLICIES}.random.v3.Random`, ({ message }) => plainly({ kind: 'random' }, policyLocality(message))],
  [
    `${POLICIES}.least_request.v3.LeastRequest`,
    ({ message }) => plainly(leastRequest(message), policyLocality(message), slowStart(message)),
  ],
  [
    `${POLICIES}.client_side_weighted_round_robin.v3.ClientSideWeightedRoundRobin`,
    ({ message }) => plainly(weightedRoundRobin(message), { kind: 'none' }, slowStart(message)),
  ],
  // Both weigh endpoints by their locality's weight × their own (gRFC A42), so that none is chosen first.
  [
    `${POLICIES}.ring_hash.v3.RingHash`,
    // DEFAULT_HASH "currently defaults to XX_HASH" - ring_hash.proto
    ({ message }) => plainly(ringHash(message, ['DEFAULT_HASH', 'XX_HASH', 'MURMUR_HASH_2'], ringHashing(message))),
  ],
  [`${POLICIES}.maglev.v3.Maglev`, ({ message }) => plainly(maglev(message, hashingOf(message)))],
  [
    `${POLICIES}.pick_first.v3.PickFirst`,
    ({ message }) => plainly({ kind: 'pick_first', shuffle: message.flag('shuffle_address_list') }),
  ],
  // A locality by its weight, then an endpoint by what is inside (gRFC A52).
  [
    `${POLICIES}.wrr_locality.v3.WrrLocality`,
    ({ message }, { child }) => {
      const inside = child(message.required('endpoint_picking_policy'));
      return inside && { ...inside, locality: { kind: 'weighted' } };
    },
  ],
  [
    `${POLICIES}.subset.v3.Subset`,
    ({ message }, { child }) => withSubsets(subsets(message), child(message.required('subset_lb_policy'))),
  ],
  [
    `${POLICIES}.random_subsetting.v3.RandomSubsetting`,
    ({ message }, { child }) => withAperture(randomSubsetting(message), child(message.required('child_policy'))),
  ],
]);

/** Ours, by the type that a TypedStruct names (gRFC A52). */
const STRUCTS: ReadonlyMap<string, Reader> = new Map<string, Reader>([
  [
    'inmesh.dev/peak_ewma',
    (config) => {
      const settings = config.kind === 'struct' ? config.settings : undefined;
      return plainly(peakEwma(settings), zoneAwareSettings(settings), slowStartSettings(settings));
    },
  ],
  [
    'inmesh.dev/deterministic_aperture',
    (config, { rest }) =>
      withAperture(deterministicAperture(config.kind === 'struct' ? config.settings : undefined), rest()),
  ],
]);

const withSubsets = (config: SubsetConfig, inside: LoadBalancing | undefined): LoadBalancing | undefined =>
  inside && { ...inside, subsets: config };

const withAperture = (config: ApertureConfig, inside: LoadBalancing | undefined): LoadBalancing | undefined =>
  inside && { ...inside, aperture: config };

/** `LoadBalancingPolicy`: the first that is supported. Throws when none is. */
export function firstPolicy(policy: Message, names: PolicyNames): LoadBalancing {
  const seen: string[] = [];
  const found = firstOf(policy.each('policies'), policy, { names, depth: 1, seen });
  if (found !== undefined) return found;
  const got = seen.length === 0 ? 'none' : seen.join(', ');
  const known = [...MESSAGES.keys(), ...STRUCTS.keys()];
  // "The function does not find any supported policy in the list" - A52
  throw policy.error('policies', `must have a supported policy, got ${got}; those are ${known.join(', ')}`);
}

interface Search {
  readonly names: PolicyNames;
  readonly depth: number;
  /** Types that were passed over, for the error. */
  readonly seen: string[];
}

function firstOf(policies: Iterator<Message>, list: Message, search: Search): LoadBalancing | undefined {
  const { depth, seen } = search;
  if (depth > MAX_DEPTH) throw list.error('', `policies must not be nested more than ${MAX_DEPTH} deep (gRFC A52)`);
  const around: Around = {
    child: (inner) => firstOf(inner.each('policies'), inner, { ...search, depth: depth + 1, seen: [] }),
    rest: () => firstOf(policies, list, { ...search, depth: depth + 1 }),
  };
  for (let next = policies.next(); next.done !== true; next = policies.next()) {
    const any = next.value.required('typed_extension_config').message('typed_config');
    if (any === undefined) continue;
    const config = extension(any);
    const found = readerOf(config, search.names)?.(config, around);
    if (found !== undefined) return found;
    seen.push(config.type);
  }
  return undefined;
}

/** "Any entry not in the above list is unsupported and will be skipped" - A52; so is a policy of the API in a TypedStruct. */
function readerOf({ kind, type }: Extension, names: PolicyNames): Reader | undefined {
  if (kind === 'message') return MESSAGES.get(type);
  return STRUCTS.get(type) ?? registered(type, names);
}

/**
 * One of the application's, by the type that it has registered, or by what is after the last "/": "the gRPC policy name will be the 'type name' part
 * of the value of the `type_url`" - A52
 */
function registered(type: string, names: PolicyNames): Reader | undefined {
  const name = [type, type.slice(type.lastIndexOf('/') + 1)].find((candidate) => names.has(candidate));
  if (name === undefined) return undefined;
  return ({ message }) =>
    plainly({ kind: 'custom', name, config: plainStruct(message.message('value')) }, { kind: 'none' });
}
