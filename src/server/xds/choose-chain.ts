import type { FilterChain, ServerListener } from '../../core/model/server.js';
import type { TransportProtocol } from '../tls/first-byte.js';
import { contains, type Ip, isLoopback, type Network, parseIp, parseNetwork, sameIp } from '../../core/ip.js';

/** The two ends of a connection. */
export interface Peer {
  /** Where it came in. */
  readonly destination: Ip;
  readonly source: Ip;
  readonly sourcePort: number;
  /** What it was found to speak; where nobody has looked, Envoy's default: `raw_buffer`. */
  readonly transport: TransportProtocol;
}

/** As a socket tells them. */
export interface Ends {
  readonly localAddress?: string | undefined;
  readonly remoteAddress?: string | undefined;
  readonly remotePort?: number | undefined;
}

/** Undefined when the client is gone already. */
export function peerOn(
  { localAddress, remoteAddress, remotePort }: Ends,
  transport: TransportProtocol,
): Peer | undefined {
  const destination = localAddress === undefined ? undefined : parseIp(localAddress);
  const source = remoteAddress === undefined ? undefined : parseIp(remoteAddress);
  if (destination === undefined || source === undefined || remotePort === undefined) return undefined;
  return { destination, source, sourcePort: remotePort, transport };
}

interface Candidate {
  readonly chain: FilterChain;
  readonly destination: readonly Network[];
  readonly source: readonly Network[];
}

/** How specifically a chain's criterion matches: 0 when it has none, more the narrower it is, undefined when it does not match. */
type Criterion = (candidate: Candidate, peer: Peer) => number | undefined;

/** In Envoy's order of matching (`FilterChainMatch`), without those that need a listener filter and so never match (gRFC A36). */
const CRITERIA: readonly Criterion[] = [
  ({ destination }, peer) => narrowest(destination, peer.destination),
  ({ chain }, peer) => {
    const { rawBuffer, tls = false } = chain.match;
    if (!rawBuffer && !tls) return 0;
    return tls === (peer.transport === 'tls') ? 1 : undefined;
  },
  ({ chain }, peer) => {
    const { sourceType } = chain.match;
    if (sourceType === 'any') return 0;
    const local = isLoopback(peer.source) || sameIp(peer.source, peer.destination);
    return local === (sourceType === 'same_ip_or_loopback') ? 1 : undefined;
  },
  ({ source }, peer) => narrowest(source, peer.source),
  ({ chain }, peer) => {
    const { sourcePorts } = chain.match;
    if (sourcePorts.length === 0) return 0;
    return sourcePorts.includes(peer.sourcePort) ? 1 : undefined;
  },
];

/** One more than the length of the longest prefix, so that one of length 0 is more specific than none. */
function narrowest(networks: readonly Network[], ip: Ip): number | undefined {
  if (networks.length === 0) return 0;
  let best: number | undefined;
  for (const network of networks) {
    if (contains(network, ip) && !(best !== undefined && best > network.prefixLength)) best = network.prefixLength + 1;
  }
  return best;
}

/**
 * Which chain takes a connection; undefined: none, so it is closed "without any bytes being sent" (gRFC A36).
 *
 * Criterion by criterion, of the chains that are left only those go on that match it most specifically. There is no way back: a connection
 * that the narrowest destination's chains refuse by its source is not offered to those of a wider one (Envoy does the same).
 */
export function chainChooser({
  filterChains,
  defaultFilterChain,
}: ServerListener): (peer: Peer) => FilterChain | undefined {
  const candidates = filterChains.map(candidate);
  return (peer) => {
    let left: readonly Candidate[] = candidates;
    for (const criterion of CRITERIA) left = mostSpecific(left, criterion, peer);
    // Several are left only where the decoder would have refused the listener; the first is as good as any.
    return left[0]?.chain ?? defaultFilterChain;
  };
}

function mostSpecific(candidates: readonly Candidate[], criterion: Criterion, peer: Peer): readonly Candidate[] {
  let best: Candidate[] = [];
  let bestScore = 0;
  for (const one of candidates) {
    const score = criterion(one, peer);
    if (score === undefined || score < bestScore) continue;
    if (score > bestScore) best = [];
    bestScore = score;
    best.push(one);
  }
  return best;
}

const candidate = (chain: FilterChain): Candidate => ({
  chain,
  destination: chain.match.destination.map(parseNetwork).filter((network) => network !== undefined),
  source: chain.match.source.map(parseNetwork).filter((network) => network !== undefined),
});
