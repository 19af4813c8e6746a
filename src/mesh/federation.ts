import type { Clock } from '../core/clock.js';
import { DecodeError, knownKeys, record, shown, string } from '../core/decode.js';
import type { IdentitySource } from '../core/identity.js';
import type { Random } from '../core/random.js';
import type { FederatedDomain } from '../identity/federation/endpoint.js';
import type { IdentityPlan } from './identity.js';

/** Another trust domain whose workloads are believed as well, each for its own names (SPIFFE Federation). */
export interface FederatesWith {
  readonly trustDomain: string;
  /** Bundle endpoint, `https://…`. */
  readonly url: string;
  /** The endpoint shows an X509-SVID with this ID (profile `https_spiffe`). Absent: a certificate for its host (`https_web`). */
  readonly endpointSpiffeId?: string;
  /** File with the bundle that an endpoint of the trust domain itself is verified with at first, in SPIFFE's format (JWK set). */
  readonly bundle?: string;
  /** PEM file of roots for `https_web`, in place of the system's. */
  readonly roots?: string;
}

const KEYS = ['trustDomain', 'url', 'endpointSpiffeId', 'bundle', 'roots'];

/** More than anybody federates with. */
const MAX_DOMAINS = 1_000;

/** What other options of `meshClient` are checked with: no file is read, and nobody is asked. */
export function checkFederation(value: unknown): void {
  if (value === undefined) return;
  const path = 'options.federatesWith';
  if (!Array.isArray(value)) throw new DecodeError(path, `must be a list, got ${shown(value)}`);
  if (value.length > MAX_DOMAINS) throw new DecodeError(path, `must have ${MAX_DOMAINS} trust domains at most`);
  for (const [i, entry] of value.entries()) {
    const at = `${path}[${i}]`;
    const domain = record(entry, at);
    knownKeys(domain, at, KEYS);
    for (const key of KEYS) {
      const needed = key === 'trustDomain' || key === 'url';
      if (needed || domain[key] !== undefined) string(domain[key], `${at}.${key}`);
    }
  }
}

/** The same identity, which believes the other trust domains too. */
export function federating(
  { name, make, foreign }: IdentityPlan,
  domains: readonly FederatesWith[],
  { clock, random }: { readonly clock: Clock; readonly random: Random },
): IdentityPlan {
  return {
    name,
    async make() {
      const [{ federated }, { readText }] = await Promise.all([
        import('../identity/federation/federated.js'),
        import('../identity/sources/read-text.js'),
      ]);
      const configured = await Promise.all(domains.map((domain) => endpointOf(domain, readText)));
      const source = await make();
      const base = foreign === true ? kept(source) : source;
      try {
        return federated(base, configured, { clock, random });
      } catch (error) {
        await base.close();
        throw error;
      }
    },
  };
}

async function endpointOf(
  { trustDomain, url, endpointSpiffeId, bundle, roots }: FederatesWith,
  readText: (path: string) => Promise<string>,
): Promise<FederatedDomain> {
  if (endpointSpiffeId === undefined) {
    const ca = roots === undefined ? undefined : [await readText(roots)];
    return { trustDomain, url, profile: { kind: 'https_web', ca } };
  }
  const text = bundle === undefined ? undefined : await readText(bundle);
  return { trustDomain, url, profile: { kind: 'https_spiffe', spiffeId: endpointSpiffeId, bundle: text } };
}

/** One that stays the application's to close. */
const kept = (source: IdentitySource): IdentitySource => ({
  name: source.name,
  get current() {
    return source.current;
  },
  watch: (watcher) => source.watch(watcher),
  close: () => Promise.resolve(),
});
