import type { Priority, Protocol } from '../core/call.js';
import { type Clock, systemClock } from '../core/clock.js';
import type { Meter } from '../core/meter.js';
import { type InboundContext, type InboundHeaders, inboundContext } from './context.js';
import { Expired, type ExpiredOptions } from './expired.js';
import { type LoadReporting, loadReporting, type OrcaOptions } from './orca/reporting.js';
import { type Gate, type Passage, pass } from './gate.js';
import type { ShedOptions } from './shedding/options.js';
import { Shedding } from './shedding/shedding.js';

/** Options of the middleware of every framework. */
export interface InboundOptions {
  /** The mesh of this process, whose metrics and events then tell what the middleware found. Default: nothing is counted. */
  readonly mesh?: { readonly meter: Meter };
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
  /** Default: the system's. */
  readonly clock?: Clock;
}

/** What a middleware does with requests, whatever its framework. One per middleware. */
export class Inbound {
  readonly clock: Clock;
  readonly reporting: LoadReporting | undefined;
  readonly #priority: InboundOptions['priority'];
  readonly #gates: readonly Gate[];

  constructor(options: InboundOptions = {}) {
    this.clock = options.clock ?? systemClock;
    this.reporting = loadReporting(options.orca);
    this.#priority = options.priority;
    const meter = options.mesh?.meter;
    this.#gates = [
      Expired.from(options.expired, this.clock, meter),
      Shedding.from(options.shed, this.clock, meter),
    ].filter((gate) => gate !== undefined);
  }

  /** `deadline`: monotonic milliseconds, where somebody has read it already. */
  context(headers: InboundHeaders, protocol: Protocol, deadline?: number): InboundContext {
    const context = inboundContext(headers, this.clock, this.#priority, deadline);
    for (const gate of this.#gates) gate.arrived?.(context, protocol, headers);
    return context;
  }

  /** The handler is done, for servers that do not tell when the answer is out. */
  handled(context: InboundContext): void {
    for (const gate of this.#gates) gate.handled?.(context);
  }

  /** Why a request is not served; undefined: it is. A promise where somebody has to be asked or waited for. */
  refusal(context: InboundContext, protocol: Protocol): Passage | Promise<Passage> {
    return pass(this.#gates, context, protocol);
  }
}
