import type { Protocol } from '../../core/call.js';
import type { Clock } from '../../core/clock.js';
import type { Meter } from '../../core/meter.js';
import type { LoadShedder, Permit, ShedReason } from '../../resilience/shedding/shedder.js';
import type { InboundContext, InboundHeaders } from '../context.js';
import type { Gate, Refusal } from '../refusal.js';
import { loadShedder, retryAfterMs, type ShedOptions } from './options.js';

const MESSAGES: Readonly<Record<ShedReason, string>> = {
  concurrency: 'the server has as many requests under way as it can serve in time',
  'event-loop': 'the server is too busy: its event loop is late',
};

/** What servers that were given the same options share: one process has one event loop, and one CPU behind it. */
class Shared {
  readonly shedder: LoadShedder;
  readonly exempt: ShedOptions['exempt'];
  readonly refusals: Readonly<Record<ShedReason, Refusal>>;
  /** Requests that were let in, so that none is counted twice where middleware is mounted again. */
  readonly admitted = new WeakMap<InboundContext, Permit>();
  readonly #meters = new WeakSet<Meter>();
  readonly #name: string;

  constructor(options: ShedOptions, clock: Clock) {
    this.shedder = loadShedder(options, clock);
    this.exempt = options.exempt;
    this.#name = options.name ?? 'server';
    const afterMs = retryAfterMs(options);
    this.refusals = { concurrency: refusal('concurrency', afterMs), 'event-loop': refusal('event-loop', afterMs) };
  }

  /** Shows the limit in the metrics of a mesh. */
  showIn(meter: Meter): void {
    if (this.#meters.has(meter)) return;
    this.#meters.add(meter);
    const labels = { 'mesh.limiter': unusedName(meter, this.#name) };
    meter.gauge('mesh.server.concurrency_limit', labels, () => this.shedder.limit);
    meter.gauge('mesh.server.requests_active', labels, () => this.shedder.inFlight);
  }
}

/** 503 for HTTP; "RESOURCE_EXHAUSTED ... perhaps a per-user quota, or perhaps the entire file system is out of space" - grpc/doc/statuscodes.md. */
const refusal = (reason: ShedReason, afterMs: number): Refusal => ({
  status: 503,
  grpcStatus: 8,
  code: 'OVERLOADED',
  flag: 'MA',
  message: MESSAGES[reason],
  retryAfterMs: afterMs,
});

/** Names of limits in the metrics of each mesh. */
const names = new WeakMap<Meter, Set<string>>();

function unusedName(meter: Meter, name: string): string {
  const used = names.get(meter) ?? new Set();
  names.set(meter, used);
  let unused = name;
  for (let n = 2; used.has(unused); n++) unused = `${name}-${n}`;
  used.add(unused);
  return unused;
}

const ofOptions = new WeakMap<ShedOptions, Shared>();
const OF_PROCESS: ShedOptions = {};

/** Refuses requests that the server could not answer in time, before their handlers run. */
export class Shedding implements Gate {
  /** Undefined when nobody asks for it. Throws DecodeError. */
  static from(given: boolean | ShedOptions | undefined, clock: Clock, meter: Meter | undefined): Shedding | undefined {
    if (given === undefined || given === false) return undefined;
    const options = given === true ? OF_PROCESS : given;
    let shared = ofOptions.get(options);
    if (shared === undefined) {
      shared = new Shared(options, clock);
      ofOptions.set(options, shared);
    }
    return new Shedding(shared, meter);
  }

  private constructor(
    private readonly shared: Shared,
    private readonly meter: Meter | undefined,
  ) {
    if (meter !== undefined) shared.showIn(meter);
  }

  arrived(context: InboundContext, _protocol: Protocol, headers: InboundHeaders): void {
    if (this.shared.exempt?.(headers) === true) context.exempt = true;
  }

  refusal(context: InboundContext, protocol: Protocol): Refusal | undefined {
    const { shedder, admitted, refusals } = this.shared;
    if (context.exempt || admitted.has(context)) return undefined;
    const permit = shedder.admit(context.priority);
    if (typeof permit === 'string') {
      this.meter?.event({ kind: 'shed', protocol, priority: context.priority ?? 'default', reason: permit });
      return refusals[permit];
    }
    admitted.set(context, permit);
    context.onOver(() => permit.end(context.cancellation.cancelled ? 'left' : 'served'));
    return undefined;
  }
  handled(context: InboundContext): void {
    this.shared.admitted.get(context)?.end('served');
  }
}
