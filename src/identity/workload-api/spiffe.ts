import { type Clock, systemClock } from '../../core/clock.js';
import { IdentityError } from '../../core/errors.js';
import type { IdentitySource } from '../../core/identity.js';
import { type Random, systemRandom } from '../../core/random.js';
import { type JwtBundles, type JwtSvid, JwtSvidError, readJwtBundles, verifyJwtSvid } from '../jwt-svid.js';
import { WorkloadApi } from './connection.js';
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
  const bundles = new KeptJwtBundles(api);
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
  #waiting: { readonly resolve: (bundles: JwtBundles) => void; readonly reject: (error: Error) => void }[] = [];

  constructor(private readonly api: WorkloadApi) {}

  /** Rejects while there are none and none can be had; what was heard last stands. */
  current(): Promise<JwtBundles> {
    if (this.#current !== undefined) return Promise.resolve(this.#current);
    const first = new Promise<JwtBundles>((resolve, reject) => this.#waiting.push({ resolve, reject }));
    this.#stop ??= this.api.watchJwtBundles({
      changed: (texts) => {
        try {
          this.#current = readJwtBundles(texts);
        } catch (error) {
          return this.#failed(error as Error);
        }
        for (const { resolve } of this.#waiting.splice(0)) resolve(this.#current);
      },
      failed: (error) => this.#failed(error),
    });
    return first;
  }

  close(): void {
    this.#stop?.();
    this.#failed(new Error('closed'));
  }

  #failed(cause: Error): void {
    const error = new IdentityError(`${this.api.name}: no JWT bundles: ${cause.message}`, { cause });
    for (const { reject } of this.#waiting.splice(0)) reject(error);
  }
}
