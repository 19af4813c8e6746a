import type { Protocol } from '../../core/call.js';
import type { Meter } from '../../core/meter.js';
import type { Ended, LoadShedder, Permit, ShedReason } from '../../resilience/shedding/shedder.js';
import type { InboundContext } from '../context.js';
import type { Refusal } from '../refusal.js';

export type ShedRefusals = Readonly<Record<ShedReason, Refusal>>;

/** "grpc.health.v1.Health" - grpc/doc/health-checking.md. A server that is full is well. */
export const HEALTH_CHECK = '/grpc.health.v1.Health/Check';

const MESSAGES: Readonly<Record<ShedReason, string>> = {
  concurrency: 'the server has as many requests under way as it can serve in time',
  'event-loop': 'the server is too busy: its event loop is late',
};

/** For gRPC: "RESOURCE_EXHAUSTED ... perhaps a per-user quota, or perhaps the entire file system is out of space" - grpc/doc/statuscodes.md. */
export function shedRefusals(status: number, retryAfterMs: number | undefined): ShedRefusals {
  const refusal = (reason: ShedReason): Refusal => ({
    status,
    grpcStatus: 8,
    code: 'OVERLOADED',
    flag: 'MA',
    message: MESSAGES[reason],
    retryAfterMs,
  });
  return { concurrency: refusal('concurrency'), 'event-loop': refusal('event-loop') };
}

/** The places that requests take while they are served: each request one, however often it is looked at. */
export class Places {
  readonly #permits = new WeakMap<InboundContext, Permit>();

  constructor(
    readonly shedder: LoadShedder,
    private readonly refusals: ShedRefusals,
    /** How long the reply to a request holds its place: to its end, or where it turns out to be a stream of events until that begins. */
    private readonly held: 'to-end' | 'until-stream',
  ) {}

  /** Undefined: it has one. */
  take(context: InboundContext, protocol: Protocol, meter: Meter | undefined): Refusal | undefined {
    if (this.#permits.has(context)) return undefined;
    const permit = this.shedder.admit(context.priority);
    if (typeof permit === 'string') {
      meter?.event({ kind: 'shed', protocol, priority: context.priority ?? 'default', reason: permit });
      return this.refusals[permit];
    }
    this.#permits.set(context, permit);
    const give = (): void => permit.end(ended(context));
    if (this.held === 'to-end') context.onOver(give);
    else context.onReleased(give);
    return undefined;
  }

  /** The request is over, as far as the server can tell. */
  handled(context: InboundContext): void {
    this.#permits.get(context)?.end(ended(context));
  }

  /** It was not served: how long that took says nothing. */
  giveBack(context: InboundContext): void {
    this.#permits.get(context)?.end('failed');
  }
}

function ended({ cancellation, timedOut, failed }: InboundContext): Ended {
  if (cancellation.cancelled || timedOut) return 'left';
  return failed ? 'failed' : 'served';
}

/** Names of limits in the metrics of each mesh. */
const names = new WeakMap<Meter, Set<string>>();

/** Shows a limit in the metrics of a mesh, under a name that no other has; until the result is called. */
export function showLimit(shedder: LoadShedder, name: string, meter: Meter): () => void {
  const used = names.get(meter) ?? new Set();
  names.set(meter, used);
  let unused = name;
  for (let n = 2; used.has(unused); n++) unused = `${name}-${n}`;
  used.add(unused);
  const labels = { 'mesh.limiter': unused };
  const removals = [
    meter.gauge('mesh.server.concurrency_limit', labels, () => shedder.limit),
    meter.gauge('mesh.server.requests_active', labels, () => shedder.inFlight),
  ];
  return () => {
    used.delete(unused);
    for (const remove of removals) remove();
  };
}
