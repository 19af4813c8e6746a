import type { Logger } from '../../core/log.js';
import { type OtelApi, type OtelTracer, SCOPE_NAME } from './api.js';

/** Where every copy of `@opentelemetry/api` 1.x in the process keeps what was registered. */
const GLOBALS = Symbol.for('opentelemetry.js.api.1');

interface Registered {
  readonly trace?: unknown;
  readonly metrics?: unknown;
  readonly propagation?: unknown;
  readonly context?: unknown;
}

/**
 * Finds the application's OpenTelemetry SDK, when there is one. The API package is loaded only after somebody has registered
 * something with it, so that a process without OpenTelemetry neither needs it nor pays for it; looking costs one property read.
 */
export class OtelLink {
  #api: OtelApi | undefined;
  #tracer: OtelTracer | undefined;
  #loading = false;
  readonly #logger: Logger;

  /** `api`: the application's own `@opentelemetry/api`, for those who want no look-up. */
  constructor(api: OtelApi | undefined, logger: Logger) {
    this.#api = api;
    this.#logger = logger;
    this.#look();
  }

  /** The API; undefined while nothing has been registered with it, and for the few turns it takes to load. */
  get api(): OtelApi | undefined {
    if (this.#api === undefined) this.#look();
    return this.#api;
  }

  /** A tracer of the application's SDK; undefined when there is none. */
  get tracer(): OtelTracer | undefined {
    if (this.#tracer === undefined && registered()?.trace !== undefined) this.#tracer = this.#findTracer();
    return this.#tracer;
  }

  /** Whether a meter provider has been registered: the API hands out one that does nothing otherwise. */
  get hasMeterProvider(): boolean {
    return registered()?.metrics !== undefined;
  }

  #findTracer(): OtelTracer | undefined {
    const provider = this.api?.trace.getTracerProvider();
    if (provider === undefined) return undefined;
    // The API answers with a proxy, whose delegate is there once an SDK has been registered.
    const delegating = provider as { getDelegateTracer?(name: string): OtelTracer | undefined };
    return delegating.getDelegateTracer === undefined
      ? provider.getTracer(SCOPE_NAME)
      : delegating.getDelegateTracer(SCOPE_NAME);
  }

  #look(): void {
    if (this.#api !== undefined || this.#loading || registered() === undefined) return;
    this.#loading = true;
    import('@opentelemetry/api').then(
      (api) => {
        this.#api = api;
      },
      (error: unknown) => {
        // Registered by a copy that cannot be reached from here: said once, then calls go on without it.
        this.#logger.warn(
          'an OpenTelemetry SDK is registered, but @opentelemetry/api cannot be loaded: install it beside inmesh',
          {
            error: String(error),
          },
        );
      },
    );
  }
}

const registered = (): Registered | undefined => (globalThis as { [GLOBALS]?: Registered })[GLOBALS];
