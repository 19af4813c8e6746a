import {
  type BalancerConfig,
  DEFAULT_BALANCER,
  DEFAULT_WEIGHTED_ROUND_ROBIN,
  type WeightedRoundRobinConfig,
} from '../../core/model/balancer.js';
import type { Message } from './message.js';
import type { Settings } from './struct.js';

const HOUR_MS = 3_600_000;
/** "values above 8M will be NACKed" - A42 */
const MAX_RING_SIZE = 8_388_608;
/** Default of both `minimum_ring_size` fields (ring_hash.proto, cluster.proto). */
const DEFAULT_MIN_RING_SIZE = 1_024;
/** "lte: 5000011", and "it defaults to 65537" - maglev.proto */
const MAX_TABLE_SIZE = 5_000_011;
const DEFAULT_TABLE_SIZE = 65_537;
/** "The default choice count is 2", and what is above ten counts as ten - A48 */
const DEFAULT_CHOICES = 2;
const MAX_CHOICES = 10;
/** "Values less than 100ms are capped at 100ms." - client_side_weighted_round_robin.proto */
const MIN_WEIGHT_UPDATE_MS = 100;

/** `LeastRequest` and `Cluster.LeastRequestLbConfig`, which has no `selection_method`. */
export function leastRequest(config: Message | undefined): BalancerConfig {
  const choices = config?.uint32Value('choice_count') ?? DEFAULT_CHOICES;
  // "If choice_count < 2, the config will be rejected." - A48
  if (config !== undefined && choices < 2) throw config.error('choice_count', `must be at least 2, got ${choices}`);
  const bias = config?.message('active_request_bias');
  const activeRequestBias = bias?.double('default_value');
  // "must be greater than or equal to 0.0" - least_request.proto
  if (bias !== undefined && activeRequestBias !== undefined && (activeRequestBias < 0 || activeRequestBias > MAX_BIAS))
    throw bias.error('default_value', `must be from 0 to ${MAX_BIAS}, got ${activeRequestBias}`);
  const method = config?.choice('selection_method', ['N_CHOICES', 'FULL_SCAN']);
  const fullScan = method === 'FULL_SCAN' || undefined;
  return { kind: 'least_request', choiceCount: Math.min(choices, MAX_CHOICES), activeRequestBias, fullScan };
}

/** A power of the number of requests: with more than this every weight but one is nothing. */
const MAX_BIAS = 100;

/** `RingHash` and `Cluster.RingHashLbConfig`, whose enums of hash functions differ. */
export function ringHash(
  config: Message | undefined,
  functions: readonly [string, ...string[]],
  hashing: Hashing,
): BalancerConfig {
  const hash = config?.choice('hash_function', functions);
  // "required to be set to `XX_HASH`; if it is set to any other value …, gRPC will NACK" - A42
  if (config !== undefined && hash === 'MURMUR_HASH_2')
    throw config.error('hash_function', `must be XX_HASH, got ${hash} (gRFC A42)`);
  const minSize = ringSize(config, 'minimum_ring_size') ?? DEFAULT_MIN_RING_SIZE;
  const maxSize = ringSize(config, 'maximum_ring_size') ?? MAX_RING_SIZE;
  // grpc-go and Envoy both, and by the defaults too where only one is given.
  if (config !== undefined && minSize > maxSize)
    throw config.error('minimum_ring_size', `must not be more than maximum_ring_size (${maxSize}), got ${minSize}`);
  return { kind: 'ring_hash', minSize, maxSize, ...hashing };
}

function ringSize(config: Message | undefined, name: string): number | undefined {
  const size = config?.uint64Value(name);
  if (config !== undefined && size !== undefined && (size < 1 || size > MAX_RING_SIZE))
    throw config.error(name, `must be from 1 to ${MAX_RING_SIZE}, got ${size} (gRFC A42)`);
  return size;
}

/** `Maglev` and `Cluster.MaglevLbConfig`: "must be prime number" - maglev.proto. */
export function maglev(config: Message | undefined, hashing: Hashing): BalancerConfig {
  const tableSize = config?.uint64Value('table_size') ?? DEFAULT_TABLE_SIZE;
  if (config !== undefined && (tableSize > MAX_TABLE_SIZE || !isPrime(tableSize)))
    throw config.error('table_size', `must be a prime number of at most ${MAX_TABLE_SIZE}, got ${tableSize}`);
  return { kind: 'maglev', tableSize, ...hashing };
}

function isPrime(number: number): boolean {
  if (number < 2) return false;
  for (let divisor = 2; divisor * divisor <= number; divisor++) if (number % divisor === 0) return false;
  return true;
}

/** What ring hash and Maglev have in common. */
export interface Hashing {
  readonly useHostname: boolean;
  readonly balanceFactor: number | undefined;
}

/** `consistent_hashing_lb_config` of a policy, or of the cluster's `common_lb_config`. */
export function hashingOf(owner: Message | undefined): Hashing {
  const config = owner?.message('consistent_hashing_lb_config');
  return { useHostname: config?.flag('use_hostname_for_hashing') ?? false, balanceFactor: balanceFactor(config) };
}

/** `RingHash` has both fields of its own too, deprecated, which count where the common configuration is not there (Envoy). */
export function ringHashing(config: Message): Hashing {
  if (config.has('consistent_hashing_lb_config')) return hashingOf(config);
  return { useHostname: config.flag('use_hostname_for_hashing'), balanceFactor: balanceFactor(config) };
}

function balanceFactor(config: Message | undefined): number | undefined {
  const percent = config?.uint32Value('hash_balance_factor');
  if (config === undefined || percent === undefined) return undefined;
  // "gte: 100" - common.proto
  if (percent < 100) throw config.error('hash_balance_factor', `must be at least 100, got ${percent}`);
  return percent / 100;
}

/** `ClientSideWeightedRoundRobin` (gRFC A58). */
export function weightedRoundRobin(config: Message): WeightedRoundRobinConfig {
  const defaults = DEFAULT_WEIGHTED_ROUND_ROBIN;
  const penalty = config.message('error_utilization_penalty');
  const errorPenalty = penalty?.double('value') ?? defaults.errorPenalty;
  // "Configuration is rejected if this value is negative." - A58. Times no errors at all, infinity is no number.
  if (penalty !== undefined && (errorPenalty < 0 || errorPenalty === Number.POSITIVE_INFINITY))
    throw penalty.error('value', 'must be 0 or more, and finite (gRFC A58)');
  return {
    kind: 'weighted_round_robin',
    outOfBand: config.boolValue('enable_oob_load_report') ?? defaults.outOfBand,
    outOfBandPeriodMs: config.duration('oob_reporting_period') ?? defaults.outOfBandPeriodMs,
    blackoutMs: config.duration('blackout_period') ?? defaults.blackoutMs,
    expirationMs: config.duration('weight_expiration_period') ?? defaults.expirationMs,
    updateMs: Math.max(MIN_WEIGHT_UPDATE_MS, config.duration('weight_update_period') ?? defaults.updateMs),
    errorPenalty,
    // Those that ORCA has no such field for are never found in a report, and so do no harm (gRFC A114).
    metrics: config.texts('metric_names_for_computing_utilization'),
  };
}

const DEFAULTS = DEFAULT_BALANCER as Extract<BalancerConfig, { kind: 'peak_ewma' }>;

/** `inmesh.dev/peak_ewma` in a TypedStruct: `decay_ms`, 1 ms to 1 h, and `default_rtt_ms`, 0 to 1 h; and `slow_start`, `zone_aware`. */
export function peakEwma(settings: Settings | undefined): BalancerConfig {
  if (settings === undefined) return DEFAULTS;
  return {
    kind: 'peak_ewma',
    decayMs: settings.number('decay_ms', 1, HOUR_MS, DEFAULTS.decayMs),
    defaultRttMs: settings.number('default_rtt_ms', 0, HOUR_MS, DEFAULTS.defaultRttMs),
  };
}
