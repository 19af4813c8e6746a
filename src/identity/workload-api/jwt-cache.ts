import type { Clock } from '../../core/clock.js';
import { type JwtSvid, readJwtSvid } from '../jwt-svid.js';
import type { JwtSvidEntry } from './messages.js';

/** Audiences that tokens are kept for; beyond it the one that was longest not asked for goes. */
const MAX_KEPT = 1_000;

export interface JwtSvidRequest {
  /** For whom the token is; one is best (JWT-SVID section 7.2). At least one. */
  readonly audience: string | readonly string[];
  /** Which of several identities. Absent: the first. */
  readonly spiffeId?: string | undefined;
  readonly hint?: string | undefined;
}

interface Kept {
  readonly svid: JwtSvid;
  /** Wall-clock milliseconds from which on a new one is fetched: half of its life. */
  readonly renewAt: number;
}

/** Tokens that were fetched, by audience and identity: each is used until half of its life is over, and while no newer one is to be had, until its end. */
export class JwtSvidCache {
  readonly #kept = new Map<string, Kept>();
  readonly #fetching = new Map<string, Promise<JwtSvid>>();

  constructor(
    private readonly fetch: (audience: readonly string[], spiffeId: string) => Promise<readonly JwtSvidEntry[]>,
    private readonly clock: Pick<Clock, 'wallTime'>,
  ) {}

  get(request: JwtSvidRequest): Promise<JwtSvid> {
    const audience = typeof request.audience === 'string' ? [request.audience] : [...request.audience];
    if (audience.length === 0 || audience.includes(''))
      return Promise.reject(new TypeError('jwtSvid: audience must name at least one, and none may be empty'));
    const key = JSON.stringify([request.spiffeId ?? '', request.hint ?? '', ...audience.toSorted()]);
    const kept = this.#kept.get(key);
    const now = this.clock.wallTime();
    if (kept !== undefined && now < kept.renewAt) {
      this.#kept.delete(key);
      this.#kept.set(key, kept);
      return Promise.resolve(kept.svid);
    }
    let fetching = this.#fetching.get(key);
    if (fetching === undefined) {
      fetching = this.#fetch(key, audience, request).finally(() => this.#fetching.delete(key));
      this.#fetching.set(key, fetching);
    }
    if (kept === undefined || now >= kept.svid.expiresAt) return fetching;
    return fetching.catch(() => kept.svid);
  }

  async #fetch(key: string, audience: readonly string[], request: JwtSvidRequest): Promise<JwtSvid> {
    const { spiffeId, hint } = request;
    const entries = await this.fetch(audience, spiffeId ?? '');
    const entry = entries.find(
      (it) => (spiffeId === undefined || it.spiffeId === spiffeId) && (hint === undefined || it.hint === hint),
    );
    if (entry === undefined) throw new Error(`the workload has no identity ${spiffeId ?? `with the hint "${hint}"`}`);
    const svid = readJwtSvid(entry.token, entry.hint === '' ? undefined : entry.hint);
    if (svid.spiffeId !== entry.spiffeId)
      throw new Error('the endpoint gave a token that is not of the identity that it names');
    const now = this.clock.wallTime();
    this.#kept.delete(key);
    this.#kept.set(key, { svid, renewAt: now + (svid.expiresAt - now) / 2 });
    for (const oldest of this.#kept.keys()) {
      if (this.#kept.size <= MAX_KEPT) break;
      this.#kept.delete(oldest);
    }
    return svid;
  }
}
