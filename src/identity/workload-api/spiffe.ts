import { type Clock, systemClock } from '../../core/clock.js';
import { IdentityError, MeshClosedError } from '../../core/errors.js';
import type { IdentitySource } from '../../core/identity.js';
import { type Random, systemRandom } from '../../core/random.js';
import { type JwtBundles, type JwtSvid, JwtSvidError, readJwtBundles, verifyJwtSvid } from '../jwt-svid.js';
import { UNARY_LIMIT_MS, WorkloadApi } from './connection.js';
import { SPIFFE_ENDPOINT_SOCKET } from './endpoint.js';
import { JwtSvidCache, type JwtSvidRequest } from './jwt-cache.js';
import type { ValidatedJwt } from './messages.js';
import { workloadApiIdentity } from './source.js';

export interface SpiffeOptions {
  /** `unix:///run/spire/agent.sock`. Default: what SPIFFE_ENDPOINT_SOCKET says. */
  readonly endpoint?: string | undefined;
  readonly clock?: Clock;
  readonly random?: Random;
}

/** A workload's view of its SPIFFE endpoint. */
export interface SpiffeWorkload {
  /** X.509-SVID, bundles and revocation lists, kept up to date. Closed by `close`. `spiffeId`, `hint`: which of several identities; default the first. */
  x509(choice?: { readonly spiffeId?: string; readonly hint?: string }): IdentitySource;
  /** A token for an audience. Used again until half of its life is over. */
  jwtSvid(request: JwtSvidRequest): Promise<JwtSvid>;
  /** Whose token it is, verified here by the endpoint's JWT bundles. Rejects with JwtSvidError. */
  verifyJwtSvid(token: string, audience: string): Promise<JwtSvid>;
  /** The same, verified by the endpoint. */
  validateJwtSvid(token: string, audience: string): Promise<ValidatedJwt>;
  close(): Promise<void>;
}

/** A client of the SPIFFE Workload API. Connects when something is asked for; grpc-js is loaded then. */
export function spiffeWorkload(options: SpiffeOptions = {}): SpiffeWorkload {
  const { clock = systemClock, random = systemRandom } = options;
  const endpoint = options.endpoint ?? process.env[SPIFFE_ENDPOINT_SOCKET];
  if (endpoint === undefined || endpoint === '')
    throw new TypeError(
      `no SPIFFE endpoint: set ${SPIFFE_ENDPOINT_SOCKET} or the option endpoint, to unix:///absolute/path`,
    );
  const env = { endpoint, clock, random };
  const api = new WorkloadApi(env);
  const sources = new Set<IdentitySource>();
  const tokens = new JwtSvidCache((audience, id) => api.jwtSvids(audience, id), clock);
  const bundles = new KeptJwtBundles(api, clock);
  return {
    x509(choice = {}) {
      const source = workloadApiIdentity({ ...env, ...choice });
      sources.add(source);
      return source;
    },
    jwtSvid: (request) => tokens.get(request),
    async verifyJwtSvid(token, audience) {
      return verifyJwtSvid(token, audience, await bundles.current(), clock.wallTime());
    },
    validateJwtSvid: (token, audience) =>
      api.validateJwtSvid(audience, token).catch((error: Error) => {
        throw new JwtSvidError(error.message, { cause: error });
      }),
    async close() {
      bundles.close();
      api.close();
      await Promise.all([...sources].map((it) => it.close()));
    },
  };
}

/** JWT bundles, watched from the first token on that is to be verified. */
class KeptJwtBundles {
  #stop: (() => void) | undefined;
  #current: JwtBundles | undefined;
  readonly #waiting = new Set<Waiting>();
  #closed = false;

  constructor(
    private readonly api: WorkloadApi,
    private readonly clock: Pick<Clock, 'after'>,
  ) {}

  /** Rejects while there are none and none can be had, and after `UNARY_LIMIT_MS`; what was heard last stands. */
  current(): Promise<JwtBundles> {
    if (this.#closed) return Promise.reject(new MeshClosedError(`${this.api.name} is closed`));
    if (this.#current !== undefined) {
      this.#watch();
      return Promise.resolve(this.#current);
    }
    const first = new Promise<JwtBundles>((resolve, reject) => {
      const cancel = this.clock.after(UNARY_LIMIT_MS, () => {
        this.#waiting.delete(own);
        reject(this.#trouble(new Error(`no answer within ${UNARY_LIMIT_MS} ms`)));
      });
      const own = { resolve, reject, cancel };
      this.#waiting.add(own);
    });
    this.#watch();
    return first;
  }

  close(): void {
    this.#closed = true;
    this.#stop?.();
    this.#failed(new Error('closed'));
  }

  #watch(): void {
    this.#stop ??= this.api.watchJwtBundles({
      changed: (texts) => {
        let bundles: JwtBundles;
        try {
          bundles = readJwtBundles(texts);
        } catch (error) {
          return this.#failed(error as Error);
        }
        this.#current = bundles;
        this.#settle(({ resolve }) => resolve(bundles));
      },
      failed: (error, final) => {
        // An endpoint that is replaced by a newer one may have them: who asks next asks anew.
        if (final) {
          this.#stop?.();
          this.#stop = undefined;
        }
        this.#failed(error);
      },
    });
  }

  #failed(cause: Error): void {
    const error = this.#trouble(cause);
    this.#settle(({ reject }) => reject(error));
  }

  #trouble(cause: Error): IdentityError {
    return new IdentityError(`${this.api.name}: no JWT bundles: ${cause.message}`, { cause });
  }

  #settle(how: (waiting: Waiting) => void): void {
    const waiting = [...this.#waiting];
    this.#waiting.clear();
    for (const each of waiting) {
      each.cancel();
      how(each);
    }
  }
}

interface Waiting {
  readonly resolve: (bundles: JwtBundles) => void;
  readonly reject: (error: Error) => void;
  /** The time limit. */
  readonly cancel: () => void;
}
