import type { Protocol } from '../core/call.js';
import type { Clock } from '../core/clock.js';
import { type HeaderFields, headerFields } from '../core/headers.js';
import { PRIORITY_HEADER, parsePriority } from '../core/mesh-headers.js';
import type { Meter } from '../core/meter.js';
import type { LoadShedder, Permit, ShedReason } from '../resilience/shedding/shedder.js';
import { loadShedder, retryAfterMs, type ShedOptions } from '../server/shedding/options.js';
import { HEALTH_CHECK, shedRefusals, showLimit } from '../server/shedding/places.js';
import type { Refusal } from './refusal.js';

/** Sheds the requests that come to a proxy, as servers do (src/server/shedding). */
export class ProxyShedding {
  readonly #shedder: LoadShedder;
  readonly #exempt: ShedOptions['exempt'];
  readonly #refusals: Readonly<Record<ShedReason, Refusal>>;
  readonly #hide: (() => void) | undefined;

  /** Throws DecodeError. */
  constructor(
    options: ShedOptions,
    clock: Clock,
    private readonly meter: Meter | undefined,
  ) {
    this.#shedder = loadShedder(options, clock);
    this.#exempt = options.exempt;
    const { concurrency, 'event-loop': eventLoop } = shedRefusals(503, undefined);
    const headers = headerFields();
    const afterMs = retryAfterMs(options);
    headers['retry-after'] = String(Math.ceil(afterMs / 1_000));
    const grpcHeaders = headerFields({ 'grpc-retry-pushback-ms': String(Math.ceil(afterMs)) });
    const own = { origin: 'mesh', headers, grpcHeaders } as const;
    this.#refusals = { concurrency: { ...concurrency, ...own }, 'event-loop': { ...eventLoop, ...own } };
    this.#hide = meter && showLimit(this.#shedder, options.name ?? 'proxy', meter);
  }

  /** A place for the request, undefined where it needs none, or why there is none. `headers`: as far as they are believed. */
  admit(protocol: Protocol, path: string, headers: HeaderFields): Permit | Refusal | undefined {
    if (protocol === 'grpc' && path === HEALTH_CHECK) return undefined;
    if (this.#exempt?.(headers) === true) return undefined;
    const priority = parsePriority(headers[PRIORITY_HEADER]);
    const permit = this.#shedder.admit(priority);
    if (typeof permit !== 'string') return permit;
    this.meter?.event({ kind: 'shed', protocol, priority: priority ?? 'default', reason: permit });
    return this.#refusals[permit];
  }

  close(): void {
    this.#hide?.();
    this.#shedder.close();
  }
}
