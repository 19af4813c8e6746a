import type { Clock } from '../../core/clock.js';
import { IdentityError } from '../../core/errors.js';
import type { CertificateProviders, IdentitySource, IdentityState } from '../../core/identity.js';
import type { Logger } from '../../core/log.js';
import type { TlsRoots } from '../../core/model/tls.js';
import type { Random } from '../../core/random.js';
import { readableCrls, type RevocationList } from '../crl.js';
import { Generation } from './generation.js';
import type { Live } from './live.js';

/** How often connections are looked at for certificates that have ended, in milliseconds. */
export const EXPIRY_CHECK_MS = 60_000;

export interface MaterialEnv {
  readonly providers?: CertificateProviders | undefined;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  /** Wall-clock milliseconds that it may be (`SteadyTime`). */
  readonly times: () => readonly number[];
  /** `TlsFactoryOptions`. */
  readonly endedFrom?: () => number;
}

/** Which sources: provider instances by name. */
export interface MaterialNames {
  /** Undefined: no certificate of one's own. */
  readonly identity: string | undefined;
  /** Undefined: nobody is verified. */
  readonly roots: TlsRoots | undefined;
}

/** A state, and what it is for. */
interface Watched {
  readonly instance: string;
  readonly source: IdentitySource | undefined;
  state: IdentityState | undefined;
  /** Told last, and not resolved since. */
  trouble: Error | undefined;
  /** Nothing comes of it, or not before somebody does something: it is closed, or refused. */
  over: boolean;
}

/** A handshake that cannot begin. */
interface Waiting {
  ready(generation: Generation): void;
  failed(problem: Error): void;
}

/**
 * Certificate and trust of all connections that are configured alike, newest first: watches the sources from the first connection on, makes a generation of
 * what they say, and carries each change over to the connections that are open.
 */
export class Material {
  #generation: Generation | undefined;
  /** The last revocation lists that could be read, all of them; undefined: none were so far. */
  #lists: readonly RevocationList[] | undefined;
  #watched: Watched[] | undefined;
  #stops: (() => void)[] = [];
  readonly #waiting = new Set<Waiting>();
  readonly #live = new Set<Live>();
  /** While there are connections. */
  #stopChecks: (() => void) | undefined;
  #closed = false;

  constructor(
    private readonly names: MaterialNames,
    private readonly env: MaterialEnv,
  ) {}

  get current(): Generation | undefined {
    this.#watch();
    return this.#generation;
  }

  /** What is missing, for messages; undefined: nothing. */
  get waitsFor(): string | undefined {
    if (this.#generation !== undefined) return undefined;
    const missing = (this.#watched ?? []).filter((watched) => !this.#has(watched));
    return missing.map(shown).join(', and ') || undefined;
  }

  /** Why there is none to wait for: an instance that is not configured, or whose source was closed before it said anything, or is refused. */
  get impossible(): Error | undefined {
    this.#watch();
    const unknown = this.#watched?.find(({ source }) => source === undefined);
    if (unknown !== undefined) return new Error(`there is no certificate provider instance "${unknown.instance}"`);
    if (this.#generation !== undefined) return undefined;
    return this.#watched?.find((watched) => watched.over && !this.#has(watched))?.trouble;
  }

  /** The certificate that there is was taken back: nobody takes it any more. Undefined: that is not known of it. */
  get revoked(): Error | undefined {
    const own = this.#watched?.find(({ instance }) => instance === this.names.identity)?.trouble;
    return own instanceof IdentityError && own.reason === 'revoked' ? own : undefined;
  }

  /** Calls once there is one, or turns out to be none to wait for. The result takes it back. */
  wait(waiting: Waiting): () => void {
    this.#waiting.add(waiting);
    return () => void this.#waiting.delete(waiting);
  }

  /** From now on the connection hears of changes, until the result is called. */
  add(live: Live): () => void {
    this.#live.add(live);
    if (this.#stopChecks === undefined && !this.#closed) this.#checkLater();
    return () => {
      this.#live.delete(live);
      live.cancel();
      if (this.#live.size === 0) this.#endChecks();
    };
  }

  close(): void {
    this.#closed = true;
    for (const stop of this.#stops.splice(0)) stop();
    this.#waiting.clear();
    for (const live of this.#live) live.cancel();
    this.#live.clear();
    this.#endChecks();
  }

  #checkLater(): void {
    const { clock, times } = this.env;
    const check = (): void => {
      const now = times();
      for (const live of [...this.#live]) live.passed(now);
      if (this.#live.size === 0) this.#endChecks();
      else this.#checkLater();
    };
    this.#stopChecks = clock.after(EXPIRY_CHECK_MS, check, { background: true });
  }

  #endChecks(): void {
    this.#stopChecks?.();
    this.#stopChecks = undefined;
  }

  #watch(): void {
    if (this.#watched !== undefined || this.#closed) return;
    const { identity, roots } = this.names;
    const instances = new Set<string>();
    if (identity !== undefined) instances.add(identity);
    if (roots?.kind === 'provider') instances.add(roots.instance);
    const watched = [...instances].map((instance): Watched => {
      const source = this.env.providers?.get(instance);
      return { instance, source, state: source?.current, trouble: undefined, over: false };
    });
    this.#watched = watched;
    this.#renew();
    for (const each of watched) this.#listen(each);
  }

  #listen(each: Watched): void {
    try {
      const stop = each.source?.watch({
        changed: (state) => {
          each.state = state;
          each.trouble = undefined;
          each.over = false;
          this.#renew();
        },
        failed: (error) => {
          each.trouble = error;
          each.over = error instanceof IdentityError && error.reason !== 'unavailable';
          this.#giveUp();
          if (this.revoked !== undefined) for (const live of [...this.#live]) live.disowned();
        },
      });
      if (stop !== undefined) this.#stops.push(stop);
    } catch (error) {
      each.over = true;
      each.trouble = error as Error;
    }
  }

  #giveUp(): void {
    const problem = this.impossible;
    if (problem === undefined) return;
    for (const waiting of [...this.#waiting]) {
      this.#waiting.delete(waiting);
      waiting.failed(problem);
    }
  }

  #has({ instance, state }: Watched): boolean {
    const { identity, roots } = this.names;
    if (instance === identity && state?.identity === undefined) return false;
    return roots?.kind !== 'provider' || instance !== roots.instance || state?.trust !== undefined;
  }

  #renew(): void {
    const watched = this.#watched ?? [];
    if (this.#closed || !watched.every((each) => this.#has(each))) return;
    const { identity, roots } = this.names;
    const stateOf = (instance: string | undefined) => watched.find((each) => each.instance === instance)?.state;
    const trusted = roots?.kind === 'provider' ? stateOf(roots.instance) : undefined;
    const parts = {
      identity: identity === undefined ? undefined : stateOf(identity)?.identity,
      trust: roots?.kind === 'system' ? ('system' as const) : trusted?.trust,
      crls: trusted?.crls ?? [],
    };
    const before = this.#generation;
    if (before?.same(parts) === true) return;
    let generation: Generation;
    try {
      const lists = this.#listsOf(parts.crls);
      const { times, endedFrom } = this.env;
      generation = new Generation(parts, lists, times, (list) => this.#unsigned(list), endedFrom);
    } catch (error) {
      const what = before === undefined ? 'there is none to go by' : 'what was known before stands';
      this.env.logger.error(`certificate or trust cannot be used: ${what}`, {
        sources: this.#sources,
        error: (error as Error).message,
      });
      for (const each of watched) each.trouble = error as Error;
      return;
    }
    this.#generation = generation;
    for (const live of [...this.#live]) live.changed(generation);
    for (const waiting of [...this.#waiting]) {
      this.#waiting.delete(waiting);
      waiting.ready(generation);
    }
  }

  /** A list that cannot be read keeps no certificate from being replaced: those from before stand beside the others. Throws where there are none from before. */
  #listsOf(crls: readonly string[]): readonly RevocationList[] {
    const { lists, problem } = readableCrls(crls);
    if (problem === undefined) {
      this.#lists = lists;
      return lists;
    }
    if (this.#lists === undefined) throw problem;
    this.env.logger.error('a revocation list cannot be read: the lists from before stand', {
      sources: this.#sources,
      error: problem.message,
    });
    return [...this.#lists, ...lists];
  }

  #unsigned({ thisUpdate }: RevocationList): void {
    this.env.logger.warn('a revocation list is not signed by the CA that it is in the name of: it revokes nothing', {
      sources: this.#sources,
      thisUpdate: new Date(thisUpdate).toISOString(),
    });
  }

  get #sources(): string {
    return (this.#watched ?? []).map(({ source }) => source?.name).join(', ');
  }
}

const shown = ({ instance, source, trouble }: Watched): string =>
  `the first certificate of ${source?.name ?? `"${instance}"`}${trouble === undefined ? '' : ` (${trouble.message})`}`;
