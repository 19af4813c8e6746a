import type { Protocol } from '../core/call.js';
import { string } from '../core/decode.js';
import { INBOUND_PREFIX } from '../core/resources.js';
import type { Meter } from '../core/meter.js';
import type { InboundContext } from './context.js';
import type { Gate, Passage } from './gate.js';
import type { ServerParts } from './parts.js';
import { NOBODY_WAITS, POLICIES_UNKNOWN } from './refusal.js';
import type { ServicePolicies } from './service-policies.js';

/**
 * How long requests wait at most, from the start of a middleware that knows its service, until it knows the policies, in milliseconds. Then they are refused until
 * it does: mutual TLS or authorization might refuse them.
 */
export const FIRST_POLICIES_MS = 1_000;

/** Holds requests to what the configuration says for the service that they came to. What does it is loaded with the first. */
export class Configured implements Gate {
  #policies: ServicePolicies | undefined;
  /** Settled once something is known; undefined from then on. */
  #first: Promise<void> | undefined;

  /** One per service and mesh, so that middleware that is mounted twice looks at a request once. `service` undefined: the mesh's own, if it has a name. */
  static from(
    service: string | undefined,
    mesh: { readonly meter: Meter; readonly servers?: ServerParts | undefined } | undefined,
  ): Configured | undefined {
    if (service !== undefined) string(service, 'service');
    const parts = mesh?.servers;
    const name = service ?? parts?.service;
    if (mesh === undefined || parts === undefined || name === undefined) return undefined;
    const known = byMesh.get(parts) ?? new Map<string, Configured>();
    byMesh.set(parts, known);
    const gate = known.get(name) ?? new Configured(name, parts, mesh.meter);
    known.set(name, gate);
    gate.#named ||= service !== undefined;
    return gate;
  }

  /** Some middleware names the service itself: it wants policies. */
  #named = false;
  /** Something was heard of the policies, or that there can be none. */
  #heard = false;
  /** Nothing was known in time, and nobody was told yet. */
  #late = false;
  /** With its mesh, whose counts are gone: nothing is counted any more. */
  #closed = false;
  /** Who may come in was a question when it was closed, and nobody can answer it now. */
  #secures = false;

  private constructor(
    private readonly service: string,
    private readonly parts: ServerParts,
    meter: Meter,
  ) {
    this.#first = new Promise<void>((resolve) => {
      const settled = (): void => {
        this.#first = undefined;
        resolve();
      };
      const known = (any: boolean | 'never' | 'no-service' | undefined): void => {
        if (any === false && !this.#heard) this.#tellNone();
        this.#heard ||= any !== undefined;
        if (any === undefined) return;
        cancel();
        settled();
      };
      const late = (): void => {
        this.#late = !this.#closed;
        settled();
      };
      const cancel = parts.clock.after(FIRST_POLICIES_MS, late, { background: true });
      void import('./service-policies.js').then(({ ServicePolicies }) => {
        if (!this.#closed) {
          this.#policies = new ServicePolicies({ service, named: this.#named }, parts, meter, known);
        }
      });
      parts.onClose(() => {
        this.#closed = true;
        this.#secures = !this.#heard || this.#policies?.secures === true;
        cancel();
        settled();
        this.#policies?.close();
        this.#policies = undefined;
      });
    });
  }

  refusal(context: InboundContext, protocol: Protocol): Passage | Promise<Passage> {
    return this.#first === undefined
      ? this.#decide(context, protocol, false)
      : this.#first.then(() => this.#decide(context, protocol, true));
  }

  #decide(context: InboundContext, protocol: Protocol, waited: boolean): Passage | Promise<Passage> {
    if (this.#late) this.#tellLate();
    // While it waited: nothing of its connection can be asked any more.
    if (waited && context.isLost) return NOBODY_WAITS;
    if (this.#closed ? this.#secures : !this.#heard) return POLICIES_UNKNOWN;
    return this.#policies?.refusal(context, protocol);
  }

  /** A name that is mistyped has no policies either; where the control plane says that it is, that is told already. */
  #tellNone(): void {
    const { service } = this;
    const { logger } = this.parts;
    const say = this.#named ? logger.warn : logger.info;
    say.call(logger, 'the configuration has no policies for servers of this service: is it called so?', {
      service,
      listener: `${INBOUND_PREFIX}${service}`,
    });
  }

  #tellLate(): void {
    this.#late = false;
    const fields = { service: this.service, afterMs: FIRST_POLICIES_MS };
    this.parts.logger.warn('requests are refused: nothing is known yet of the policies of their service', fields);
  }

  handled(context: InboundContext): void {
    this.#policies?.handled(context);
  }

  withdrawn(context: InboundContext): void {
    this.#policies?.withdrawn(context);
  }
}

const byMesh = new WeakMap<ServerParts, Map<string, Configured>>();
