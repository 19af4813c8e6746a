import { type Backoff, spreadJitter } from '../core/backoff.js';
import type { Clock } from '../core/clock.js';
import { IdentityError, MeshClosedError, type MeshError } from '../core/errors.js';
import { type CertificateProviders, controlPlaneId, DEFAULT_PROVIDER, type IdentitySource } from '../core/identity.js';
import type { Logger } from '../core/log.js';
import type { Meter } from '../core/meter.js';
import type { Random } from '../core/random.js';
import type { TlsClient, TlsFactory } from '../core/tls.js';
import type { JwtSvid } from '../identity/jwt-svid.js';
import type { JwtSvidRequest } from '../identity/workload-api/jwt-cache.js';
import type { SpiffeWorkload } from '../identity/workload-api/spiffe.js';
import { type MeshTls, tlsFactory } from '../identity/tls/factory.js';
import { sourceOf, Watchers } from '../identity/watchers.js';

/** What this workload is known by to others, now. Public: there is no key in it. */
export interface WorkloadIdentity {
  readonly spiffeId: string | undefined;
  /** Wall-clock milliseconds. */
  readonly notBefore: number;
  readonly notAfter: number;
  /** Where it comes from: `ca 10.0.0.1:18001`. */
  readonly source: string;
  /** Why there will be no next one before somebody does something: it was revoked, or another is refused. Undefined: nothing is known to be wrong. */
  readonly problem: string | undefined;
}

/** How the source behind an instance is made: loaded when somebody first asks. */
export interface IdentityPlan {
  /** For errors, logs and metrics, until there is a source that has a name. */
  readonly name: string;
  /** Rejects where there can be none. */
  readonly make: () => Promise<IdentitySource>;
  /** The application's own source is not closed with the mesh. */
  readonly foreign?: boolean;
}

export interface MeshIdentityOptions {
  /** What an instance is; undefined: there is none of that name. Asked when the configuration that names it is there, and not again. */
  readonly plan: (instance: string) => IdentityPlan | undefined;
  /** Where the SPIFFE Workload API is, for tokens. Absent: nowhere. */
  readonly workloadApi?: string | undefined;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly meter: Meter;
}

/** A source, and what is the matter with it now. */
interface HeldSource extends IdentitySource {
  readonly trouble: MeshError | undefined;
}

/** Trouble that does not pass by itself. */
const lasting = (error: MeshError | undefined): IdentityError | undefined =>
  error instanceof IdentityError && error.reason !== 'unavailable' ? error : undefined;

/** How long `ready` waits for a first certificate, in milliseconds: as long as for an authority that nothing is heard of (gRFC A57). */
export const IDENTITY_READY_MS = 15_000;

/**
 * The certificate providers of a mesh (gRFC A29): sources by instance name, each made when it is first asked for.
 */
export class MeshIdentity implements CertificateProviders {
  readonly #held = new Map<string, HeldSource>();
  readonly #waiting = new Set<() => void>();
  readonly #wanted = new Set<string>();
  #workload: Promise<SpiffeWorkload> | undefined;
  #closed = false;
  readonly #tls: MeshTls;

  constructor(private readonly options: MeshIdentityOptions) {
    const { clock, random, logger } = options;
    this.#tls = tlsFactory({ providers: this, clock, random, logger });
  }

  /** TLS with these certificates. */
  get tls(): TlsFactory {
    return this.#tls;
  }

  /**
   * TLS under this workload's identity, to a server with this SPIFFE ID; undefined: our control plane in the same trust domain, which does not change while the
   * process runs. Waits for the first certificate as `ready` does. `host` is what messages call the server.
   */
  readonly clientOf = async (serverId: string | undefined, host: string): Promise<TlsClient> => {
    await this.ready();
    const value = serverId ?? controlPlaneOf(this.principal);
    if (value === undefined)
      throw new IdentityError(
        `${host} is to be reached under this workload's identity, and its certificate has no SPIFFE ID to tell the control plane's from: say server_spiffe_id ` +
          'in channel_creds of the bootstrap',
      );
    return this.#tls.client(
      {
        sni: undefined,
        identity: DEFAULT_PROVIDER,
        roots: { kind: 'provider', instance: DEFAULT_PROVIDER },
        sans: [{ type: 'URI', match: { kind: 'exact', value, ignoreCase: false } }],
      },
      host,
    );
  };

  get(instance: string): IdentitySource | undefined {
    const known = this.#held.get(instance);
    if (known !== undefined) return known;
    if (this.#closed) return undefined;
    const plan = this.options.plan(instance);
    // What is none now may be one when more is known.
    if (plan === undefined) return undefined;
    const source = lateIdentity(plan, this.options);
    this.#held.set(instance, source);
    return source;
  }

  /** Mutual TLS is configured, or an identity is: a certificate is got before the first connection asks for it, and `mesh.ready()` waits for it. */
  want(instance: string = DEFAULT_PROVIDER): void {
    this.#wanted.add(instance);
    this.get(instance);
  }

  /** Told of each new state of the workload's own identity, until the result is called. */
  onChange(changed: () => void): () => void {
    return this.get(DEFAULT_PROVIDER)?.watch({ changed, failed() {} }) ?? (() => {});
  }

  /** Resolves when all that is wanted is there; rejects as `ready` does. */
  async readyAll(): Promise<void> {
    await Promise.all([...this.#wanted].map((instance) => this.ready(instance)));
  }

  /** That of the workload itself; undefined while there is none. */
  own(): WorkloadIdentity | undefined {
    const source = this.#held.get(DEFAULT_PROVIDER);
    const identity = source?.current?.identity;
    if (source === undefined || identity === undefined) return undefined;
    const { spiffeId, notBefore, notAfter } = identity;
    return { spiffeId, notBefore, notAfter, source: source.name, problem: lasting(source.trouble)?.message };
  }

  /** Why this workload can prove to nobody who it is, until somebody does something: its first certificate is refused, or the one that it has was revoked. */
  get refusal(): IdentityError | undefined {
    const source = this.#held.get(DEFAULT_PROVIDER);
    const trouble = lasting(source?.trouble);
    return source?.current?.identity === undefined || trouble?.reason === 'revoked' ? trouble : undefined;
  }

  /** The workload's SPIFFE ID, while it has a certificate. */
  get principal(): string | undefined {
    return this.#held.get(DEFAULT_PROVIDER)?.current?.identity?.spiffeId;
  }

  /** The workload's identity as a token (SPIFFE JWT-SVID), from the Workload API. */
  async jwtSvid(request: JwtSvidRequest): Promise<JwtSvid> {
    const { workloadApi: endpoint, clock, random } = this.options;
    if (this.#closed) throw new MeshClosedError();
    if (endpoint === undefined)
      throw new IdentityError(
        'JWT-SVIDs come from the SPIFFE Workload API: set SPIFFE_ENDPOINT_SOCKET, or identity.workloadApi',
      );
    this.#workload ??= import('../identity/workload-api/spiffe.js').then(({ spiffeWorkload }) =>
      spiffeWorkload({ endpoint, clock, random }),
    );
    return (await this.#workload).jwtSvid(request);
  }

  /** Resolves when the instance, which is the workload's own unless said otherwise, has said its first word; rejects with what is the matter after `IDENTITY_READY_MS`, and at once when there can be none, or it is refused. */
  ready(instance: string = DEFAULT_PROVIDER): Promise<void> {
    const source = this.get(instance);
    if (source === undefined)
      return Promise.reject(this.#closed ? new MeshClosedError() : new IdentityError(missing(instance)));
    if (source.current !== undefined) return Promise.resolve();
    return new Promise((resolve, reject) => {
      let last: MeshError | undefined;
      let over = false;
      let stop: (() => void) | undefined;
      const end = (then: () => void): void => {
        if (over) return;
        over = true;
        cancel();
        stop?.();
        this.#waiting.delete(giveUp);
        then();
      };
      const giveUp = (): void => end(() => reject(new MeshClosedError()));
      const cancel = this.options.clock.after(IDENTITY_READY_MS, () =>
        end(() => reject(last ?? new IdentityError(`${source.name}: no certificate after ${IDENTITY_READY_MS} ms`))),
      );
      this.#waiting.add(giveUp);
      stop = source.watch({
        changed: () => end(resolve),
        failed: (error) => {
          last = error;
          if (lasting(error) !== undefined) end(() => reject(error));
        },
      });
      if (over) stop();
    });
  }

  async close(): Promise<void> {
    this.#closed = true;
    const held = [...this.#held.values()];
    this.#held.clear();
    for (const giveUp of [...this.#waiting]) giveUp();
    this.#tls.close();
    await Promise.all([...held.map((source) => source.close()), this.#workload?.then((workload) => workload.close())]);
  }
}

const missing = (instance: string): string =>
  instance === DEFAULT_PROVIDER ? NO_IDENTITY : `there is no certificate provider instance "${instance}"`;

const controlPlaneOf = (spiffeId: string | undefined): string | undefined => {
  const trustDomain = spiffeId?.split('/', 3)[2];
  return trustDomain === undefined ? undefined : controlPlaneId(trustDomain);
};

/** What is said where mTLS is configured and nothing says who this workload is. */
export const NO_IDENTITY =
  'mutual TLS is configured, and nothing says where the certificate of this workload comes from: set the option identity of meshClient, INMESH_CA with ' +
  'INMESH_JOIN_TOKEN, SPIFFE_ENDPOINT_SOCKET, or certificate_providers of the bootstrap';

/** Between attempts to make a source that could not be made, in milliseconds: what it lacks, a file or an address, may be there later. */
export const IDENTITY_BACKOFF: Backoff = { baseMs: 1_000, maxMs: 60_000 };

/** A source that is still being loaded, and watched over from its first word on. One that cannot be made is tried again. */
function lateIdentity({ name, make, foreign }: IdentityPlan, env: Omit<MeshIdentityOptions, 'plan'>): HeldSource {
  const watchers = new Watchers(name);
  let inner: IdentitySource | undefined;
  let stop: (() => void) | undefined;
  let unobserve: (() => void) | undefined;
  let cancelRetry: (() => void) | undefined;
  let failures = 0;
  const load = async (): Promise<void> => {
    try {
      inner = await make();
      if (!watchers.closed) stop = inner.watch(watchers);
    } catch (thrown) {
      const cause = thrown instanceof Error ? thrown : new Error(String(thrown));
      watchers.failed(
        cause instanceof IdentityError ? cause : new IdentityError(`${name}: ${cause.message}`, { cause }),
      );
      // A source that was made, and is closed, stays so.
      if (watchers.closed || inner !== undefined) return;
      const delayMs = spreadJitter(IDENTITY_BACKOFF, ++failures, env.random);
      cancelRetry = env.clock.after(delayMs, () => (loading = load()), { background: true });
    }
  };
  const begin = async (): Promise<void> => {
    const { observeIdentity } = await import('../identity/observe.js');
    if (watchers.closed) return;
    unobserve = observeIdentity(source, env);
    await load();
  };
  const source = sourceOf(watchers, async () => {
    cancelRetry?.();
    await loading;
    unobserve?.();
    stop?.();
    if (foreign !== true) await inner?.close();
  });
  let loading = begin();
  return Object.defineProperty(source, 'trouble', { get: () => watchers.trouble }) as HeldSource;
}
