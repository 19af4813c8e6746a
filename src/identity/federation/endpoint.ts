import type { Clock } from '../../core/clock.js';
import { DecodeError } from '../../core/decode.js';
import type { Random } from '../../core/random.js';
import { type Bundle, parseBundle } from '../bundle.js';
import { parseTrustDomain, parseWorkloadId } from '../spiffe-id.js';
import { type EndpointAuthentication, type FetchBundle, urlProblem } from './fetch-bundle.js';

/** "a reasonably low default value should apply - five minutes is recommended" - SPIFFE Federation 4.1. */
export const DEFAULT_REFRESH_MS = 300_000;
/** A hint may ask for no more than once a minute, and for no less than once a day: a key that was withdrawn must be gone by then. */
export const MIN_REFRESH_MS = 60_000;
export const MAX_REFRESH_MS = 86_400_000;
/** So that many clients do not ask together: up to this share earlier. */
const JITTER = 0.1;
/** A server that does not answer is given up after this long, in milliseconds. */
const TIMEOUT_MS = 30_000;

/** Another trust domain that is believed as well, and where its bundle is to be had (SPIFFE Federation 5.1). */
export interface FederatedDomain {
  readonly trustDomain: string;
  /** `https://…`. */
  readonly url: string;
  readonly profile:
    | { readonly kind: 'https_web'; readonly ca?: readonly string[] | undefined }
    /**
     * `spiffeId`: of the endpoint's server. `bundle`: text of the bundle that its first certificate is verified with, in SPIFFE's format; for a server of
     * the trust domain itself. For a server of another one, that one's bundle is used as it is known.
     */
    | { readonly kind: 'https_spiffe'; readonly spiffeId: string; readonly bundle?: string | undefined };
}

export interface EndpointEnv {
  readonly clock: Clock;
  readonly random: Random;
  readonly fetch: FetchBundle;
  /** PEM of what another trust domain is believed by now; undefined: it is not known. */
  readonly authoritiesOf: (trustDomain: string) => readonly string[] | undefined;
  readonly changed: () => void;
  /** What is wrong, for people. The bundle that was there stays. */
  readonly failed: (problem: string) => void;
}

/** Keeps the bundle of one trust domain fresh. */
export class BundleEndpoint {
  readonly trustDomain: string;
  readonly #url: URL;
  readonly #server: string | undefined;
  #bundle: Bundle | undefined;
  #cancelTimer: (() => void) | undefined;
  #fetching: AbortController | undefined;
  #closed = false;

  /** Throws a DecodeError at `path` where the configuration is none. */
  constructor(
    private readonly config: FederatedDomain,
    path: string,
    private readonly env: EndpointEnv,
  ) {
    this.trustDomain = parseTrustDomain(config.trustDomain, `${path}.trustDomain`);
    this.#url = parseUrl(config.url, `${path}.url`);
    if (config.profile.kind !== 'https_spiffe') return;
    const { spiffeId, bundle } = config.profile;
    this.#server = parseWorkloadId(spiffeId, `${path}.profile.spiffeId`).trustDomain;
    if (bundle !== undefined) this.#bundle = parseBundle(bundle, `${path}.profile.bundle`);
    else if (this.#server === this.trustDomain) {
      throw new DecodeError(
        `${path}.profile.bundle`,
        'must be set: the endpoint is of the very trust domain whose bundle it serves, and there must be a first one to verify it with (SPIFFE Federation 5.2.2.2)',
      );
    }
  }

  /** PEM; undefined: no bundle was had so far. */
  get authorities(): readonly string[] | undefined {
    return this.#bundle?.x509Authorities;
  }

  start(): void {
    void this.#refresh();
  }

  close(): void {
    this.#closed = true;
    this.#cancelTimer?.();
    this.#fetching?.abort(new Error('closed'));
  }

  async #refresh(): Promise<void> {
    const fetching = new AbortController();
    this.#fetching = fetching;
    const cancelTimeout = this.env.clock.after(
      TIMEOUT_MS,
      () => fetching.abort(new Error(`no answer within ${TIMEOUT_MS} ms`)),
      { background: true },
    );
    try {
      const text = await this.env.fetch(this.#url, this.#authentication(), fetching.signal);
      if (!this.#closed) this.#take(parseBundle(text));
    } catch (error) {
      const { message } = (fetching.signal.aborted ? fetching.signal.reason : error) as Error;
      if (!this.#closed)
        this.env.failed(`bundle of trust domain "${this.trustDomain}" from ${this.#url.href}: ${message}`);
    } finally {
      cancelTimeout();
      this.#fetching = undefined;
    }
    this.#schedule();
  }

  /** "The sequence number field ... SHOULD be used when comparing the freshness" - section 4.2: one from a cache that lags behind changes nothing. */
  #take(bundle: Bundle): void {
    const known = this.#bundle;
    if (known?.sequence !== undefined && bundle.sequence !== undefined && bundle.sequence < known.sequence) return;
    this.#bundle = bundle;
    if (known === undefined || !sameAuthorities(known, bundle)) this.env.changed();
  }

  #authentication(): EndpointAuthentication {
    const { profile } = this.config;
    if (profile.kind === 'https_web') return { profile: 'https_web', ca: profile.ca };
    const server = this.#server as string;
    // "The latest available bundle MUST be used to validate any subsequent connections" - section 5.2.2.4
    const authorities = server === this.trustDomain ? this.authorities : this.env.authoritiesOf(server);
    if (authorities === undefined) throw new Error(`its server is of trust domain "${server}", which is not known`);
    if (authorities.length === 0)
      throw new Error(`its server is of trust domain "${server}", which has withdrawn its keys`);
    return { profile: 'https_spiffe', spiffeId: profile.spiffeId, authorities };
  }

  /** "clients SHOULD retry at the next polling interval, rather than immediately" - section 6.2 */
  #schedule(): void {
    if (this.#closed) return;
    const known = this.#bundle?.refreshHintMs ?? DEFAULT_REFRESH_MS;
    const interval = Math.min(Math.max(known, MIN_REFRESH_MS), MAX_REFRESH_MS);
    const delay = interval * (1 - JITTER * this.env.random.next());
    this.#cancelTimer = this.env.clock.after(delay, () => void this.#refresh(), { background: true });
  }
}

const sameAuthorities = (a: Bundle, b: Bundle): boolean =>
  a.x509Authorities.length === b.x509Authorities.length &&
  a.x509Authorities.every((pem, i) => pem === b.x509Authorities[i]);

function parseUrl(text: string, path: string): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  const problem = url === undefined ? 'must be a URL' : urlProblem(url);
  if (url === undefined || problem !== undefined) throw new DecodeError(path, problem ?? 'must be a URL');
  return url;
}
