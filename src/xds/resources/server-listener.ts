import type { FilterChain, ServerListener } from '../../core/model/server.js';
import type { Steps } from '../../core/steps.js';
import { socketAddress } from './address.js';
import type { ReadContext } from './context.js';
import type { Message } from './message.js';
import { ANY_CONNECTION, ChainMatches } from './server-chain-match.js';
import { filterChain } from './server-filter-chain.js';

/** `listener.v3.Listener` with an address: a server's (gRFC A36). */
export function* serverListener(message: Message, context: ReadContext): Steps<ServerListener> {
  checkUnsupportedFields(message);
  const address = socketAddress(message.required('address'), 'ip');
  const scope = (chain: Message): string => `${message.text('name')}/${chain.text('name') || chain.path}`;
  const names = new Set<string>();
  const matches = new ChainMatches();
  const filterChains: FilterChain[] = [];
  // gRFC A36: "must NACK the Listener resource if any entry in filter_chains or default_filter_chain is invalid": also one that never matches.
  for (const chain of message.each('filter_chains')) {
    requireUniqueName(chain, names);
    const match = yield* matches.read(chain);
    const parts = yield* filterChain(chain, context, scope(chain));
    // gRFC A36: "an always-failing matcher may be pruned"
    if (match !== undefined) filterChains.push({ name: chain.text('name') || chain.path, match, ...parts });
    yield;
  }
  const other = message.message('default_filter_chain');
  let defaultFilterChain: FilterChain | undefined;
  if (other !== undefined) {
    requireUniqueName(other, names);
    const parts = yield* filterChain(other, context, scope(other));
    defaultFilterChain = { name: other.text('name') || other.path, match: ANY_CONNECTION, ...parts };
  }
  if (filterChains.length === 0 && defaultFilterChain === undefined) {
    throw message.error('filter_chains', 'must have one that can match, or there must be a default_filter_chain');
  }
  return { name: message.text('name'), address, filterChains, defaultFilterChain };
}

function checkUnsupportedFields(message: Message): void {
  // gRFC A36: "must NACK the Listener resource if Listener.listener_filters is non-empty"
  if (message.messages('listener_filters').length > 0)
    throw message.error('listener_filters', 'must be empty (gRFC A36)');
  // gRFC A36: "if Listener.use_original_dst is present and true"
  if (message.boolValue('use_original_dst') === true)
    throw message.error('use_original_dst', 'must be false or not set (gRFC A36)');
  // It takes the place of every filter_chain_match (listener.proto), so that to ignore it would be to serve with another chain.
  if (message.has('filter_chain_matcher'))
    throw message.error('filter_chain_matcher', 'is not supported; use filter_chain_match');
}

/** "The unique name (or empty) by which this filter chain is known" - listener_components.proto */
function requireUniqueName(chain: Message, names: Set<string>): void {
  const name = chain.text('name');
  if (name === '') return;
  if (names.has(name))
    throw chain.error('name', `must not be repeated among the filter chains, got "${name.slice(0, 80)}" again`);
  names.add(name);
}
