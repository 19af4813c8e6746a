import { isDeepStrictEqual } from 'node:util';
import type { FilterChain, ServerListener } from '../core/model/server.js';
import type { InboundContext } from './context.js';
import { isEncrypted } from './tls/carrier.js';
import { chainChooser, type Ends, peerOn } from './xds/choose-chain.js';

/** Which filter chain of a listener holds for a request of middleware. Undefined: nobody can tell, or none does. */
export type ChainOf = (context: InboundContext) => FilterChain | undefined;

/**
 * The chains of a listener that say different things of requests, and which of them is whose: by the connection, as for servers that the mesh listens for. Where all say
 * the same, as those of a permissive server do, that is one for everybody, whatever it came by.
 */
export function serviceChains(listener: ServerListener): {
  readonly chains: readonly FilterChain[];
  readonly of: ChainOf;
} {
  const { filterChains, defaultFilterChain } = listener;
  const all = defaultFilterChain === undefined ? filterChains : [defaultFilterChain, ...filterChains];
  const [first, ...others] = all;
  if (first === undefined || others.every((other) => isDeepStrictEqual(said(other), said(first))))
    return { chains: first === undefined ? [] : [first], of: () => first };
  const choose = chainChooser(listener);
  const known = new WeakMap<object, FilterChain>();
  return {
    chains: all,
    of({ connection, isLost }) {
      if (connection === undefined || isLost) return undefined;
      let chain = known.get(connection);
      if (chain === undefined) {
        const peer = peerOn(connection as Ends, isEncrypted(connection) ? 'tls' : 'raw_buffer');
        chain = peer && choose(peer);
        if (chain !== undefined) known.set(connection, chain);
      }
      return chain;
    },
  };
}

/** What a chain says of requests, but not which connections are its own. */
const said = ({ name: _, match: __, tls: ___, ...rest }: FilterChain): unknown => rest;
