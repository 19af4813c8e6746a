import type { Clock } from '../../core/clock.js';
import { DecodeError } from '../../core/decode.js';
import { IdentityError } from '../../core/errors.js';
import type { IdentitySource, IdentityState } from '../../core/identity.js';
import type { Random } from '../../core/random.js';
import { sourceOf, Watchers } from '../watchers.js';
import { BundleEndpoint, type FederatedDomain } from './endpoint.js';
import { type FetchBundle, fetchBundle } from './fetch-bundle.js';

export interface FederationEnv {
  readonly clock: Clock;
  readonly random: Random;
  /** Default: over HTTPS. */
  readonly fetch?: FetchBundle | undefined;
}

/**
 * A source whose workloads believe other trust domains as well, each for its own names: "bundle contents from different trust domains MUST NOT be merged into a
 * single, larger bundle" (SPIFFE Federation 4.2). What `base` says of a trust domain comes before what is fetched of it. Closing it closes `base`. Throws a
 * DecodeError where `domains` are none.
 */
export function federated(
  base: IdentitySource,
  domains: readonly FederatedDomain[],
  env: FederationEnv,
): IdentitySource {
  const watchers = new Watchers(base.name);
  const failed = (problem: string): void =>
    watchers.failed(new IdentityError(`identity source "${base.name}": ${problem}`));
  let state: IdentityState | undefined;

  const publish = (): void => {
    if (state === undefined) return;
    watchers.changed(withBundles(state, endpoints));
    // Roots that vouch for any name would vouch for the other domains' names too.
    if (endpoints.length > 0 && state.trust?.kind !== 'spiffe') {
      failed('its roots are of no trust domain, so that no other can stand beside them: set trustDomain');
    }
  };
  const authoritiesOf = (trustDomain: string): readonly string[] | undefined => {
    const trust = watchers.current?.trust;
    return trust?.kind === 'spiffe' ? trust.bundles.get(trustDomain) : undefined;
  };
  const endpointEnv = { ...env, fetch: env.fetch ?? fetchBundle, authoritiesOf, changed: publish, failed };
  const endpoints = domains.map((domain, i) => new BundleEndpoint(domain, `federatesWith[${i}]`, endpointEnv));
  const twice = endpoints.findIndex(
    ({ trustDomain }, i) => endpoints.findIndex((other) => other.trustDomain === trustDomain) < i,
  );
  if (twice !== -1) throw new DecodeError(`federatesWith[${twice}].trustDomain`, 'is there twice');

  const stop = base.watch({
    changed(next) {
      state = next;
      publish();
    },
    failed: (error) => watchers.failed(error),
  });
  for (const endpoint of endpoints) endpoint.start();
  return sourceOf(watchers, async () => {
    stop();
    for (const endpoint of endpoints) endpoint.close();
    await base.close();
  });
}

function withBundles(state: IdentityState, endpoints: readonly BundleEndpoint[]): IdentityState {
  if (state.trust?.kind !== 'spiffe') return state;
  const bundles = new Map(state.trust.bundles);
  for (const { trustDomain, authorities } of endpoints) {
    if (authorities !== undefined && !bundles.has(trustDomain)) bundles.set(trustDomain, authorities);
  }
  return Object.freeze({ ...state, trust: { kind: 'spiffe' as const, bundles } });
}
