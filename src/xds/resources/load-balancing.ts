import { type BalancerConfig, DEFAULT_BALANCER } from '../../core/model/cluster.js';
import { type Extension, extension } from './any.js';
import type { Message } from './message.js';

const POLICIES = 'envoy.extensions.load_balancing_policies';
/** Deeper nesting is refused (gRFC A52). */
const MAX_DEPTH = 16;
const HOUR_MS = 3_600_000;

/** A policy's configuration read; undefined when it has none that is supported inside. */
type Reader = (config: Extension, depth: number) => BalancerConfig | undefined;

const READERS: ReadonlyMap<string, Reader> = new Map<string, Reader>([
  [`${POLICIES}.round_robin.v3.RoundRobin`, () => ({ kind: 'round_robin' })],
  [`${POLICIES}.random.v3.Random`, () => ({ kind: 'random' })],
  [`${POLICIES}.least_request.v3.LeastRequest`, ({ message }) => leastRequest(message)],
  // Weighted choice of a locality is part of every balancer here; what is inside says how to choose an endpoint.
  [
    `${POLICIES}.wrr_locality.v3.WrrLocality`,
    ({ message }, depth) => supported(message.required('endpoint_picking_policy'), depth + 1, []),
  ],
  ['inmesh.dev/peak_ewma', peakEwma],
]);

/**
 * `load_balancing_policy` if there is one: the first policy in its list that is supported wins (gRFC A52). Else `lb_policy`, whose
 * default is round robin.
 */
export function balancer(cluster: Message): BalancerConfig {
  const policy = cluster.message('load_balancing_policy');
  if (policy === undefined) return lbPolicy(cluster);
  const seen: string[] = [];
  const found = supported(policy, 1, seen);
  if (found !== undefined) return found;
  const got = seen.length === 0 ? 'none' : seen.join(', ');
  throw cluster.error(
    'load_balancing_policy.policies',
    `must have a supported policy (${[...READERS.keys()].join(', ')}), got ${got}`,
  );
}

function supported(policy: Message, depth: number, seen: string[]): BalancerConfig | undefined {
  if (depth > MAX_DEPTH) throw policy.error('', `policies must not be nested more than ${MAX_DEPTH} deep (gRFC A52)`);
  for (const candidate of policy.messages('policies')) {
    const any = candidate.required('typed_extension_config').message('typed_config');
    if (any === undefined) continue;
    const config = extension(any);
    const found = READERS.get(config.type)?.(config, depth);
    if (found !== undefined) return found;
    seen.push(config.type);
  }
  return undefined;
}

function lbPolicy(cluster: Message): BalancerConfig {
  const policy = cluster.choice('lb_policy', [
    'ROUND_ROBIN',
    'LEAST_REQUEST',
    'RING_HASH',
    'RANDOM',
    'MAGLEV',
    'CLUSTER_PROVIDED',
    'LOAD_BALANCING_POLICY_CONFIG',
  ]);
  switch (policy) {
    case 'ROUND_ROBIN':
      return { kind: 'round_robin' };
    case 'RANDOM':
      return { kind: 'random' };
    case 'LEAST_REQUEST':
      return leastRequest(cluster.message('least_request_lb_config'));
    default:
      throw cluster.error(
        'lb_policy',
        `must be ROUND_ROBIN, LEAST_REQUEST or RANDOM when load_balancing_policy is not set, got ${policy}`,
      );
  }
}

/** Two choices when not set; less is refused, and more than ten are ten (gRFC A48). */
function leastRequest(config: Message | undefined): BalancerConfig {
  const choices = config?.uint32Value('choice_count') ?? 2;
  // "If choice_count < 2, the config will be rejected." - A48
  if (config !== undefined && choices < 2) throw config.error('choice_count', `must be at least 2, got ${choices}`);
  return { kind: 'least_request', choiceCount: Math.min(choices, 10) };
}

const DEFAULTS = DEFAULT_BALANCER as Extract<BalancerConfig, { kind: 'peak_ewma' }>;

/** `inmesh.dev/peak_ewma` in a TypedStruct: `decay_ms`, 1 ms to 1 h, and `default_rtt_ms`, 0 to 1 h. */
function peakEwma(config: Extension): BalancerConfig {
  const settings = config.kind === 'struct' ? config.settings : undefined;
  if (settings === undefined) return DEFAULTS;
  return {
    kind: 'peak_ewma',
    decayMs: settings.number('decay_ms', 1, HOUR_MS, DEFAULTS.decayMs),
    defaultRttMs: settings.number('default_rtt_ms', 0, HOUR_MS, DEFAULTS.defaultRttMs),
  };
}
