import type { CidrRange, FilterChainMatch } from '../../core/model/server.js';
import type { Steps } from '../../core/steps.js';
import { cidrRange } from './cidr.js';
import type { Message } from './message.js';

/** What a chain without criteria matches. */
export const ANY_CONNECTION: FilterChainMatch = {
  destination: [],
  sourceType: 'any',
  source: [],
  sourcePorts: [],
  rawBuffer: false,
};

/** Combinations of criteria in one listener; a bound of our own. Two lists of 300 ranges in one chain make 90,000. */
const MAX_COMBINATIONS = 100_000;
/** Combinations between two pauses. */
const PER_STEP = 500;

/**
 * The matches of one listener's filter chains. gRFC A36 asks for "the Cartesian product of its present fields" of each, and refuses the
 * listener when two are the same: then it would be unclear which chain serves.
 */
export class ChainMatches {
  /** Each combination, and the chain that has it. */
  readonly #taken = new Map<string, string>();

  /** `FilterChain.filter_chain_match`; undefined when no connection can ever meet it. */
  *read(chain: Message): Steps<FilterChainMatch | undefined> {
    const match = chain.message('filter_chain_match');
    const found = match === undefined ? ANY_CONNECTION : yield* criteria(match);
    const never = match === undefined ? NO_DEMANDS : demands(match);
    yield* this.#take(chain, [
      found.destination.map(cidrText),
      [never.destinationPort],
      never.serverNames,
      [never.transportProtocol],
      never.applicationProtocols,
      [found.sourceType],
      found.source.map(cidrText),
      found.sourcePorts.map(String),
    ]);
    return matchesNothing(never) ? undefined : found;
  }

  /** An empty list stands for the criterion that is not there. */
  *#take(chain: Message, fields: readonly (readonly string[])[]): Steps<void> {
    const count = fields.reduce((product, values) => product * Math.max(1, values.length), 1);
    if (this.#taken.size + count > MAX_COMBINATIONS)
      throw chain.error(
        'filter_chain_match',
        `must not make more than ${MAX_COMBINATIONS} combinations in one listener`,
      );
    let done = 0;
    for (const combination of product(fields)) {
      const other = this.#taken.get(combination);
      if (other !== undefined) {
        const whose = other === chain.path ? 'more than once' : `as ${other}`;
        throw chain.error('filter_chain_match', `must be unique, but has the same criteria ${whose} (gRFC A36)`);
      }
      this.#taken.set(combination, chain.path);
      if (++done % PER_STEP === 0) yield;
    }
  }
}

function* criteria(match: Message): Steps<FilterChainMatch> {
  // Newer than gRFC A36; without it a chain would match where it must not.
  if (match.messages('direct_source_prefix_ranges').length > 0)
    throw match.error('direct_source_prefix_ranges', 'is not supported; use source_prefix_ranges');
  const types = { ANY: 'any', SAME_IP_OR_LOOPBACK: 'same_ip_or_loopback', EXTERNAL: 'external' } as const;
  return {
    destination: yield* ranges(match, 'prefix_ranges'),
    sourceType: types[match.choice('source_type', ['ANY', 'SAME_IP_OR_LOOPBACK', 'EXTERNAL'])],
    source: yield* ranges(match, 'source_prefix_ranges'),
    sourcePorts: match.numbers('source_ports').map((port, i) => {
      if (port >= 1 && port <= 65_535) return port;
      throw match.error(`source_ports[${i}]`, `must be from 1 to 65535, got ${port}`);
    }),
    rawBuffer: match.text('transport_protocol') === RAW_BUFFER,
    ...(match.text('transport_protocol') === TLS && { tls: true }),
  };
}

function* ranges(match: Message, field: string): Steps<CidrRange[]> {
  const found: CidrRange[] = [];
  for (const range of match.each(field)) {
    found.push(cidrRange(range));
    yield;
  }
  return found;
}

const RAW_BUFFER = 'raw_buffer';
const TLS = 'tls';

/** Criteria on what only listener filters would find out: they count for uniqueness. */
interface Demands {
  readonly destinationPort: string;
  readonly serverNames: readonly string[];
  readonly transportProtocol: string;
  readonly applicationProtocols: readonly string[];
}

const NO_DEMANDS: Demands = {
  destinationPort: '',
  serverNames: [],
  transportProtocol: '',
  applicationProtocols: [],
};

function demands(match: Message): Demands {
  const port = match.uint32Value('destination_port');
  return {
    destinationPort: port === undefined ? '' : String(port),
    serverNames: match.texts('server_names').map((name) => name.toLowerCase()),
    transportProtocol: match.text('transport_protocol'),
    applicationProtocols: match.texts('application_protocols'),
  };
}

/**
 * gRFC A36: destination_port, server_names and application_protocols "always fail match"; transport_protocol "only matches raw_buffer". Here it matches `tls`,
 * too, as with Envoy's TLS inspector: a server that takes both needs it.
 */
function matchesNothing({ destinationPort, serverNames, transportProtocol, applicationProtocols }: Demands): boolean {
  return (
    destinationPort !== '' ||
    serverNames.length > 0 ||
    applicationProtocols.length > 0 ||
    !['', RAW_BUFFER, TLS].includes(transportProtocol)
  );
}

function cidrText({ address, prefixLength }: CidrRange): string {
  return `${address}/${prefixLength}`;
}

/** Each choice of one value per list, as a text that is the same for the same choice. */
function* product(lists: readonly (readonly string[])[], from = 0, prefix = ''): Generator<string, void, undefined> {
  const values = lists[from];
  if (values === undefined) {
    yield prefix;
    return;
  }
  if (values.length === 0) yield* product(lists, from + 1, `${prefix}*;`);
  // Quoted, so that no text from outside can look like two.
  for (const value of values) yield* product(lists, from + 1, `${prefix}${JSON.stringify(value)};`);
}
