import { Agent, type IncomingMessage, request } from 'node:http';
import { type Backends, CALL_ID, type Seen } from './backend.js';

/** One request, byte for byte the same to both sides. */
export interface PlannedRequest {
  /** Name of the RouteConfiguration that decides. */
  readonly table: string;
  readonly method: string;
  readonly host: string;
  readonly path: string;
  readonly headers: readonly (readonly [string, string])[];
}

/** Says in our proxy's own replies what went wrong, as a response flag of Envoy's. */
const FLAG = 'mesh-error';

/** What came of a request: the reply, and all that arrived at backends, as far as routing has a say in it. */
export interface Outcome {
  readonly status: number;
  readonly headers: readonly string[];
  readonly body: string;
  /** Of ours, a reply of the proxy's own. */
  readonly flag: string | undefined;
  /** Attempts and copies. */
  readonly arrived: readonly {
    readonly port: number;
    readonly method: string;
    readonly path: string;
    readonly headers: readonly string[];
  }[];
}

/**
 * Fields of one hop, of one program or of one moment. Timeouts and forwarding are announced by both in ways of their own, and nothing here is about
 * them.
 */
const HOP_FIELDS: ReadonlySet<string> = new Set([
  'connection',
  'keep-alive',
  'transfer-encoding',
  'content-length',
  'date',
  'via',
  'x-forwarded-for',
  'x-forwarded-proto',
  'x-envoy-expected-rq-timeout-ms',
  'inmesh-timeout-ms',
  'inmesh-retry',
  'x-envoy-upstream-service-time',
  'x-envoy-internal',
  'x-request-id',
  CALL_ID,
  FLAG,
]);

/** A cookie that was made for a hash: its value is chance's, and the same for nobody else. */
const MADE_VALUE = /^(set-cookie: (?:session|made)=)"[0-9a-f]{16}"/;

/** Replies of a program's own have a body that says why in its own words. */
const MEANT_BODIES = /^(?:served|failed as asked|direct.*|)$/;

/** Makes requests to one side. */
export class Caller {
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 16 });

  constructor(
    /** Names the calls. */
    private readonly side: string,
    private readonly port: (table: string) => number,
  ) {}

  /** Resolves with the reply; what arrived is known when it is asked for. */
  async call(planned: PlannedRequest, number: number): Promise<Omit<Outcome, 'arrived'>> {
    const { method, path, host } = planned;
    const sent = ['Host', host, CALL_ID, this.id(number), ...planned.headers.flat()];
    const response = await new Promise<IncomingMessage>((resolve, reject) => {
      const port = this.port(planned.table);
      request({ host: '127.0.0.1', port, method, path, headers: sent, agent: this.#agent, setHost: false }, resolve)
        .on('error', reject)
        .end();
    });
    let body = '';
    for await (const chunk of response) body += String(chunk);
    const flag = response.headers[FLAG] as string | undefined;
    const meant = flag === undefined && MEANT_BODIES.test(body);
    const headers = comparable(pairs(response.rawHeaders))
      .filter((field) => meant || !field.startsWith('content-type:'))
      .map((field) => field.replace(MADE_VALUE, '$1"(made)"'));
    return { status: response.statusCode as number, headers, body: meant ? body : '', flag };
  }

  id(number: number): string {
    return `${this.side}-${number}`;
  }

  close(): void {
    this.#agent.destroy();
  }
}

/** What arrived of a call, in an order that does not depend on which copy was faster. */
export function arrived(backends: Backends, call: string): Outcome['arrived'] {
  const inOrder = (a: Shown, b: Shown): number => compare(orderOf(a), orderOf(b));
  return backends
    .seen(call)
    .map(({ port, method, path, headers }: Seen) => ({
      port,
      method,
      path,
      headers: comparable(headers),
    }))
    .sort(inOrder);
}

type Shown = Outcome['arrived'][number];

/** Attempts follow one another, whatever they say of their number, and of the hosts of those before. */
const OF_ONE_ATTEMPT = /^x-(?:envoy-attempt-count|envoy-original-host|forwarded-host):/;
const orderOf = ({ headers, ...rest }: Shown): string =>
  JSON.stringify({ ...rest, headers: headers.filter((field) => !OF_ONE_ATTEMPT.test(field)) });

const pairs = (raw: readonly string[]): readonly (readonly [string, string])[] =>
  raw.flatMap((name, i) => (i % 2 === 0 ? [[name.toLowerCase(), raw[i + 1] as string] as const] : []));

/**
 * Fields sorted by name; the values of one name joined, in their order: one field with a list says the same (RFC 9110 section 5.3), and an empty
 * element of it says nothing (section 5.6.1).
 */
function comparable(fields: readonly (readonly [string, string])[]): readonly string[] {
  const joined = new Map<string, string>();
  for (const [name, value] of fields) {
    if (HOP_FIELDS.has(name)) continue;
    const before = joined.get(name);
    joined.set(name, [before ?? '', value].filter((text) => text !== '').join(','));
  }
  return [...joined].map(([name, value]) => `${name}: ${value}`).sort(compare);
}

const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);
