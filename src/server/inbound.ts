import type { Priority, Protocol } from '../core/call.js';
import { type Clock, systemClock } from '../core/clock.js';
import { DecodeError, knownKeys, shown } from '../core/decode.js';
import type { Meter } from '../core/meter.js';
import { type InboundContext, type InboundHeaders, inboundContext } from './context.js';
import { type CallerOf, CallerGate, callerOf } from './caller.js';
import { Configured } from './configured.js';
import { Expired, type ExpiredOptions } from './expired.js';
import { type LoadReporting, loadReporting, type OrcaOptions } from './orca/reporting.js';
import { type Gate, type Passage, pass } from './gate.js';
import { ownLimits } from './limits/own.js';
import type { RateLimitOptions } from './limits/options.js';
import type { ServerParts } from './parts.js';
import { hops } from './remote-address.js';
import type { ShedOptions } from './shedding/options.js';
import type { InboundView } from './view.js';
import { Shedding } from './shedding/shedding.js';

/** Options of the middleware of every framework. */
export interface InboundOptions {
  /** The mesh of this process, whose metrics and events then tell what the middleware found. Default: nothing is counted. */
  readonly mesh?: { readonly meter: Meter; readonly servers?: ServerParts | undefined };
  /** What happens to a request whose caller has given up before its handler runs. Default: it is served, and counted (`audit`). */
  readonly expired?: ExpiredOptions['mode'] | ExpiredOptions;
  /**
   * How important a request is. Default: what its `inmesh-priority` says. Where requests come from outside of the mesh anybody may write that: say here who
   * is what.
   */
  readonly priority?: (headers: InboundHeaders) => Priority | undefined;
  /** Whether replies tell clients how loaded this server is (ORCA, gRFC A51), for balancing by load. Default: they do not. */
  readonly orca?: boolean | OrcaOptions;
  /**
   * Whether requests are refused that this server could not answer in time: 503 with `Retry-After`, or RESOURCE_EXHAUSTED. `true`: by one limit that all
   * servers of the process share, as do servers that are given the same object. Default: none is.
   */
  readonly shed?: boolean | ShedOptions;
  /**
   * The service that this server is, by a name that others call it by: policies of the mesh's configuration for it (`side: server`) then hold. Requests that come
   * before the configuration has said anything wait for it, for the first second. Default: the mesh's own `service`.
   */
  readonly service?: string;
  /** Limits of the rate of requests, besides those of the configuration: 429, or RESOURCE_EXHAUSTED, with when to come again. Default: none. */
  readonly limits?: RateLimitOptions;
  /** Who makes a request, where the application finds that out: for limits that count by caller. Default: nobody in particular. */
  readonly caller?: CallerOf;
  /**
   * How many proxies in front of this server are believed about the client's address (`x-forwarded-for`), 0 to 16: Envoy's `xff_num_trusted_hops`. Default 0: the
   * client is who is at the other end of the connection.
   */
  readonly trustedProxies?: number;
  /** Default: the system's. */
  readonly clock?: Clock;
}

const KNOWN: readonly (keyof InboundOptions)[] = [
  'mesh',
  'expired',
  'priority',
  'orca',
  'shed',
  'service',
  'limits',
  'caller',
  'trustedProxies',
  'clock',
];

/** Throws DecodeError. */
function meshOf({ mesh, service }: InboundOptions): InboundOptions['mesh'] {
  if (mesh === undefined && service !== undefined)
    throw new DecodeError('service', 'needs the option mesh, whose configuration has the policies');
  if (mesh !== undefined && typeof (mesh as Partial<typeof mesh> | null)?.meter?.event !== 'function')
    throw new DecodeError('mesh', `must be a mesh, as meshClient() makes it, got ${shown(mesh)}`);
  return mesh;
}

/** What a middleware does with requests, whatever its framework. One per middleware. */
export class Inbound {
  readonly clock: Clock;
  readonly reporting: LoadReporting | undefined;
  readonly #priority: InboundOptions['priority'];
  readonly #gates: readonly Gate[];
  /** Undefined: these options do not say. */
  readonly #trustedHops: number | undefined;
  /** Whether gates look at the request itself. */
  readonly #looks: boolean;

  constructor(options: InboundOptions = {}) {
    this.clock = options.clock ?? systemClock;
    this.reporting = loadReporting(options.orca);
    this.#priority = options.priority;
    knownKeys(options as Record<string, unknown>, '', KNOWN);
    const mesh = meshOf(options);
    const caller = callerOf(options.caller);
    const meter = mesh?.meter;
    this.#trustedHops = options.trustedProxies === undefined ? undefined : hops(options.trustedProxies);
    const looking = [
      caller === undefined ? undefined : new CallerGate(caller), // before all that asks who it is
      Configured.from(options.service, mesh), // who may not come in at all counts nowhere
      ownLimits(options.limits, mesh?.servers, this.clock),
    ];
    this.#looks = looking.some((gate) => gate !== undefined);
    this.#gates = [
      Expired.from(options.expired, this.clock, meter), // first: nobody waits for it
      ...looking,
      Shedding.from(options.shed, this.clock, meter), // last: what is refused before takes no place
    ].filter((gate) => gate !== undefined);
  }

  /** `view`: of the request itself, when somebody looks. `deadline`: monotonic milliseconds, where somebody has read it already. */
  context(headers: InboundHeaders, protocol: Protocol, view?: () => InboundView, deadline?: number): InboundContext {
    const context = inboundContext(headers, this.clock, this.#priority, deadline);
    this.#takeIn(context, headers, protocol, view);
    return context;
  }

  /** A request that has come to other middleware before: what these options say of it, they say once. */
  join(context: InboundContext, headers: InboundHeaders, protocol: Protocol, view: () => InboundView): void {
    if (this.#takeIn(context, headers, protocol, view) && this.#priority !== undefined)
      context.priority = this.#priority(headers);
  }

  /** False: it was taken in before. */
  #takeIn(context: InboundContext, headers: InboundHeaders, protocol: Protocol, view?: () => InboundView): boolean {
    if (!context.meets(this)) return false;
    if (this.#looks) context.makeView ??= view;
    if (this.#trustedHops !== undefined) context.trustedHops = this.#trustedHops;
    for (const gate of this.#gates) gate.arrived?.(context, protocol, headers);
    return true;
  }

  /** The handler is done, for servers that do not tell when the answer is out. */
  handled(context: InboundContext): void {
    for (const gate of this.#gates) gate.handled?.(context);
  }

  /** The request has become something that is no request any more, and takes no place. */
  withdrawn(context: InboundContext): void {
    for (const gate of this.#gates) gate.withdrawn?.(context);
  }

  /** Why a request is not served; undefined: it is. A promise where somebody has to be asked or waited for. */
  refusal(context: InboundContext, protocol: Protocol): Passage | Promise<Passage> {
    return pass(this.#gates, context, protocol);
  }
}
