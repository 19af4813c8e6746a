import type { Call } from '../core/call.js';
import { keepAlive } from '../core/clock.js';
import { callersContext } from '../core/context.js';
import { ConfigUnavailableError, MeshClosedError, type MeshError } from '../core/errors.js';
import { LastingTrouble } from '../core/lasting-trouble.js';
import type { TargetConfig } from '../core/model/target.js';
import type { Reply } from '../core/reply.js';
import type { Service } from '../core/service.js';
import type { ClusterRegistry, Keep } from './endpoints/registry.js';
import type { EgressDestination, EgressHolder } from './egress.js';
import type { ClientEnv } from './env.js';
import type { HoldingSource } from './holding-source.js';
import { ClusterTrouble } from './router/errors.js';
import { Router } from './router/router.js';

/** A call without a limit of its own waits this long for the first configuration: xDS's does-not-exist timer (A57), 15 s. */
export const CONFIG_WAIT_MS = 15_000;
/** Calls of one destination that may wait for its first configuration; more are refused at once. */
const MAX_WAITING = 10_000;

/** One authority that the application calls: its current router, or why it has none. */
export class Destination {
  /** Monotonic milliseconds of the last call; written by `Destinations`. */
  lastUsed = 0;
  #router: Router | undefined;
  #failure: MeshError | undefined;
  readonly #waiting = new Set<() => void>();
  readonly #unwatch: () => void;
  #closed = false;
  /** Configurations so far. */
  #news = 0;

  constructor(
    readonly authority: string,
    private readonly source: HoldingSource,
    private readonly registry: ClusterRegistry,
    private readonly env: ClientEnv,
    fallback: (use: (config: TargetConfig) => void, fail: (error: MeshError) => void) => () => void,
    egress?: EgressHolder | undefined,
    /** What egress policy judges. */
    called: EgressDestination = { host: authority, port: 0 },
  ) {
    let endFallback: (() => void) | undefined;
    let latest: TargetConfig | undefined;
    let unknown = false;
    const pass = (): void => {
      if (latest !== undefined) this.#use(egress?.policy?.filtered(latest, called) ?? latest);
    };
    const passThrough = (): void => {
      endFallback?.();
      endFallback = fallback(
        (config) => this.#use(config),
        (error) => this.#fail(error),
      );
    };
    const stopEgress = egress?.onChange(() => (unknown ? passThrough() : pass()));
    const outage = new LastingTrouble(env.clock);
    const known = (): void => {
      outage.over();
      unknown = false;
      latest = undefined;
      endFallback?.();
      endFallback = undefined;
    };
    const stop = source.watch(authority, {
      changed: (config) => {
        known();
        latest = config;
        pass();
      },
      failed: (error) => {
        known();
        this.#fail(error);
      },
      ambient: (error) => {
        if (this.#router === undefined) this.#fail(error);
        else if (outage.isToTell()) env.logger.warn('configuration is not fresh', { authority, error: error.message });
      },
      unknown: () => {
        // Told again when what becomes of unknown hosts is decided anew.
        known();
        unknown = true;
        passThrough();
      },
    });
    this.#unwatch = () => {
      stopEgress?.();
      known();
      stop();
    };
  }

  get idle(): boolean {
    return this.#waiting.size === 0;
  }

  get config(): TargetConfig | undefined {
    return this.#router?.config;
  }

  readonly service: Service = (call) => {
    const router = this.#router;
    if (router !== undefined) return call.waitForReady ? this.#untilReady(call, router) : router.service(call);
    const failure = this.#failure;
    if (failure !== undefined && (!call.waitForReady || this.#closed)) return Promise.reject(failure);
    return this.#wait(call);
  };

  /** `Router.beside` of the configuration that serves now. */
  beside(cluster: string): Service | undefined {
    return this.#router?.beside(cluster);
  }

  /** Resolves when its configuration is there, and the connections that it wants ahead of calls are open or cannot be had for now; else rejects. */
  async ready(): Promise<void> {
    if (this.#router === undefined && this.#failure === undefined) await this.#heard();
    const router = this.#router;
    if (router === undefined) throw this.#failure ?? this.#noConfig();
    await router.warmed();
  }

  close(): void {
    this.#closed = true;
    this.#unwatch();
    this.#fail(new MeshClosedError());
  }

  #use(config: TargetConfig): void {
    if (this.#closed) return;
    const before = this.#router;
    const keep: Keep = (cluster) => this.source.holdCluster?.(this.authority, cluster);
    if (before?.update(config, keep) === true) {
      this.#wake();
      return;
    }
    // Clusters are claimed by the new one before the old one lets go, so that those in both live on.
    this.#router = new Router(config, this.registry, this.env);
    this.#failure = undefined;
    before?.release(keep);
    this.#wake();
  }

  #fail(error: MeshError): void {
    this.#router?.release();
    this.#router = undefined;
    this.#failure = error;
    this.#wake();
  }

  #wake(): void {
    this.#news++;
    for (const wake of [...this.#waiting]) wake();
  }

  /** The first configuration or failure, or CONFIG_WAIT_MS. */
  #heard(): Promise<void> {
    const { clock, deadlines } = this.env;
    return new Promise((resolve) => {
      const wake = (): void => {
        this.#waiting.delete(wake);
        timer.stop();
        resolve();
      };
      const timer = deadlines.watch(clock.now() + CONFIG_WAIT_MS, wake);
      this.#waiting.add(wake);
    });
  }

  #noConfig(): MeshError {
    return new ConfigUnavailableError(`no configuration for "${this.authority}" within ${CONFIG_WAIT_MS} ms`);
  }

  /** A call whose cluster is in trouble waits for another configuration: nothing has been done to it yet. */
  async #untilReady(call: Call, router: Router): Promise<Reply> {
    const heard = this.#news;
    try {
      return await router.service(call);
    } catch (error) {
      if (!(error instanceof ClusterTrouble)) throw error;
    }
    return heard === this.#news ? this.#wait(call) : this.service(call);
  }

  #wait(call: Call): Promise<Reply> {
    if (this.#waiting.size >= MAX_WAITING) {
      return Promise.reject(
        new ConfigUnavailableError(`"${this.authority}": ${MAX_WAITING} calls already wait for its configuration`),
      );
    }
    const { clock, deadlines } = this.env;
    // The news come in nobody's context, or in that of another call.
    const context = callersContext();
    const waiting = new Promise<Reply>((resolve, reject) => {
      const timer =
        call.deadline === Number.POSITIVE_INFINITY && !call.waitForReady
          ? deadlines.watch(clock.now() + CONFIG_WAIT_MS, () => {
              leave();
              reject(this.#noConfig());
            })
          : undefined;
      const leave = (): void => {
        this.#waiting.delete(wake);
        call.cancellation.remove(cancelled);
        timer?.stop();
      };
      const wake = (): void => {
        if (this.#router === undefined && call.waitForReady && !this.#closed) return;
        leave();
        resolve(context.runInAsyncScope(this.service, this, call));
      };
      const cancelled = (reason: Error): void => {
        leave();
        reject(reason);
      };
      this.#waiting.add(wake);
      call.cancellation.add(cancelled);
    });
    return keepAlive(clock, waiting);
  }
}
