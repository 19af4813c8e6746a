import { DecodeError, shown } from '../../core/decode.js';
import type { Protocol } from '../../core/call.js';
import type { Clock } from '../../core/clock.js';
import type { Meter } from '../../core/meter.js';
import type { InboundContext, InboundHeaders } from '../context.js';
import type { Gate } from '../gate.js';
import type { Refusal } from '../refusal.js';
import { loadShedder, retryAfterMs, type ShedOptions } from './options.js';
import { Places, shedRefusals, showLimit } from './places.js';

/** What servers that were given the same options share: one process has one event loop, and one CPU behind it. */
class Shared {
  readonly places: Places;
  readonly exempt: ShedOptions['exempt'];
  readonly #meters = new WeakSet<Meter>();
  readonly #name: string;

  constructor(options: ShedOptions, clock: Clock) {
    this.places = new Places(loadShedder(options, clock), shedRefusals(503, retryAfterMs(options)), 'until-stream');
    this.exempt = options.exempt;
    this.#name = options.name ?? 'server';
  }

  /** Shows the limit in the metrics of a mesh. */
  showIn(meter: Meter): void {
    if (this.#meters.has(meter)) return;
    this.#meters.add(meter);
    showLimit(this.places.shedder, this.#name, meter);
  }
}

const ofOptions = new WeakMap<ShedOptions, Shared>();
const OF_PROCESS: ShedOptions = {};

/** Refuses requests that the server could not answer in time, before their handlers run. */
export class Shedding implements Gate {
  /** Undefined when nobody asks for it. Throws DecodeError. */
  static from(given: boolean | ShedOptions | undefined, clock: Clock, meter: Meter | undefined): Shedding | undefined {
    if (given === undefined || given === false) return undefined;
    const options = given === true ? OF_PROCESS : given;
    if (typeof options !== 'object' || options === null)
      throw new DecodeError('shed', `must be true, false or an object, got ${shown(options)}`);
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
    return context.exempt ? undefined : this.shared.places.take(context, protocol, this.meter);
  }

  handled(context: InboundContext): void {
    this.shared.places.handled(context);
  }

  withdrawn(context: InboundContext): void {
    this.shared.places.giveBack(context);
  }
}
