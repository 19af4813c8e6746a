import { type BalancerConfig, DEFAULT_BALANCER } from '../../core/model/cluster.js';
import type { Extension } from './any.js';
import type { Message } from './message.js';

const HOUR_MS = 3_600_000;
/** "values above 8M will be NACKed" - A42 */
const MAX_RING_SIZE = 8_388_608;
/** Default of both `minimum_ring_size` fields (ring_hash.proto, cluster.proto). */
const DEFAULT_MIN_RING_SIZE = 1_024;
/** "lte: 5000011" - maglev.proto */
const MAX_TABLE_SIZE = 5_000_011;
/** "The default choice count is 2", and what is above ten counts as ten - A48 */
const DEFAULT_CHOICES = 2;
const MAX_CHOICES = 10;

/** `LeastRequest` and `Cluster.LeastRequestLbConfig`. */
export function leastRequest(config: Message | undefined): BalancerConfig {
  const choices = config?.uint32Value('choice_count') ?? DEFAULT_CHOICES;
  // "If choice_count < 2, the config will be rejected." - A48
  if (config !== undefined && choices < 2) throw config.error('choice_count', `must be at least 2, got ${choices}`);
  return { kind: 'least_request', choiceCount: Math.min(choices, MAX_CHOICES) };
}

/** `RingHash` and `Cluster.RingHashLbConfig`, whose enums of hash functions differ. */
export function checkRingHash(config: Message, functions: readonly [string, ...string[]]): void {
  const hash = config.choice('hash_function', functions);
  // "required to be set to `XX_HASH`; if it is set to any other value …, gRPC will NACK" - A42
  if (hash === 'MURMUR_HASH_2') throw config.error('hash_function', `must be XX_HASH, got ${hash} (gRFC A42)`);
  const min = ringSize(config, 'minimum_ring_size') ?? DEFAULT_MIN_RING_SIZE;
  const max = ringSize(config, 'maximum_ring_size') ?? MAX_RING_SIZE;
  // grpc-go and Envoy both, and by the defaults too where only one is given.
  if (min > max)
    throw config.error('minimum_ring_size', `must not be more than maximum_ring_size (${max}), got ${min}`);
}

function ringSize(config: Message, name: string): number | undefined {
  const size = config.uint64Value(name);
  if (size !== undefined && (size < 1 || size > MAX_RING_SIZE))
    throw config.error(name, `must be from 1 to ${MAX_RING_SIZE}, got ${size} (gRFC A42)`);
  return size;
}

/** `Maglev` and `Cluster.MaglevLbConfig`: "must be prime number" - maglev.proto. */
export function checkMaglev(config: Message): void {
  const size = config.uint64Value('table_size');
  if (size !== undefined && (size > MAX_TABLE_SIZE || !isPrime(size)))
    throw config.error('table_size', `must be a prime number of at most ${MAX_TABLE_SIZE}, got ${size}`);
}

function isPrime(number: number): boolean {
  if (number < 2) return false;
  for (let divisor = 2; divisor * divisor <= number; divisor++) if (number % divisor === 0) return false;
  return true;
}

/** `ClientSideWeightedRoundRobin` (gRFC A58). */
export function checkClientSideWrr(config: Message): void {
  config.boolValue('enable_oob_load_report');
  for (const name of ['oob_reporting_period', 'blackout_period', 'weight_expiration_period', 'weight_update_period'])
    config.duration(name);
  const penalty = config.message('error_utilization_penalty');
  // "Configuration is rejected if this value is negative." - A58
  if (penalty !== undefined && penalty.double('value') < 0)
    throw penalty.error('value', 'must be 0 or more (gRFC A58)');
}

const DEFAULTS = DEFAULT_BALANCER as Extract<BalancerConfig, { kind: 'peak_ewma' }>;

/** `inmesh.dev/peak_ewma` in a TypedStruct: `decay_ms`, 1 ms to 1 h, and `default_rtt_ms`, 0 to 1 h. */
export function peakEwma(config: Extension): BalancerConfig {
  const settings = config.kind === 'struct' ? config.settings : undefined;
  if (settings === undefined) return DEFAULTS;
  return {
    kind: 'peak_ewma',
    decayMs: settings.number('decay_ms', 1, HOUR_MS, DEFAULTS.decayMs),
    defaultRttMs: settings.number('default_rtt_ms', 0, HOUR_MS, DEFAULTS.defaultRttMs),
  };
}
