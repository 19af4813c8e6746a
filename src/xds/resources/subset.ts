import type { SubsetConfig } from '../../core/model/balancer.js';
import type { SubsetCriteria } from '../../core/model/route.js';
import type { Message } from './message.js';
import { Settings, filterMetadata } from './struct.js';

const FALLBACKS = { NO_FALLBACK: 'none', ANY_ENDPOINT: 'any', DEFAULT_SUBSET: 'default' } as const;

/** `Cluster.LbSubsetConfig`, and the `Subset` policy, which has the same fields. */
export function subsets(config: Message): SubsetConfig {
  // Subsets that a call falls back to one by one are in the metadata of the route; there is one of them here, and no list.
  if (config.choice('metadata_fallback_policy', ['METADATA_NO_FALLBACK', 'FALLBACK_LIST']) === 'FALLBACK_LIST')
    throw config.error('metadata_fallback_policy', 'must be METADATA_NO_FALLBACK: FALLBACK_LIST is not supported');
  const struct = config.message('default_subset');
  return {
    fallback: FALLBACKS[config.choice('fallback_policy', ['NO_FALLBACK', 'ANY_ENDPOINT', 'DEFAULT_SUBSET'])],
    defaultSubset: struct === undefined ? {} : criteria(new Settings(struct)),
    selectors: config.messages('subset_selectors').map(selector),
  };
}

function selector(config: Message): SubsetConfig['selectors'][number] {
  const keys = [...new Set(config.texts('keys'))];
  // Envoy refuses one without keys (subset_lb_config.cc), which would be that of all endpoints.
  if (keys.length === 0) throw config.error('keys', 'must have at least one');
  const policy = config.choice('fallback_policy', [
    'NOT_DEFINED',
    'NO_FALLBACK',
    'ANY_ENDPOINT',
    'DEFAULT_SUBSET',
    'KEYS_SUBSET',
  ]);
  if (policy === 'KEYS_SUBSET') return { keys, fallback: 'keys', fallbackKeys: fallbackKeys(config, keys) };
  return { keys, fallback: policy === 'NOT_DEFINED' ? undefined : FALLBACKS[policy] };
}

/** `fallback_keys_subset`, by Envoy's rules (subset_lb_config.cc): some of the keys, and not all. */
function fallbackKeys(config: Message, keys: readonly string[]): readonly string[] {
  const found = [...new Set(config.texts('fallback_keys_subset'))];
  if (found.length === 0) throw config.error('fallback_keys_subset', 'must have at least one, for KEYS_SUBSET');
  const other = found.find((key) => !keys.includes(key));
  if (other !== undefined) throw config.error('fallback_keys_subset', `must be some of keys, got "${other}"`);
  if (found.length === keys.length) throw config.error('fallback_keys_subset', 'must be fewer than keys');
  return found;
}

/** `metadata_match` of a route action or cluster weight: what `envoy.lb` says. Undefined: any endpoint. */
export function metadataMatch(owner: Message): SubsetCriteria | undefined {
  const settings = filterMetadata(owner, 'envoy.lb', 'metadata_match');
  return settings === undefined ? undefined : criteria(settings);
}

/** Texts, numbers and truth values. To leave out another kind of value would be to ask for more endpoints than were meant. */
function criteria(settings: Settings): SubsetCriteria {
  const found: Record<string, string> = Object.create(null);
  for (const [name, value] of settings.labels()) found[name] = value;
  const missing = settings.names.find((name) => !Object.hasOwn(found, name));
  if (missing !== undefined) throw settings.error(missing, 'must be a string, a number or true or false');
  return found;
}
