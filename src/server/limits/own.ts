import type { Clock } from '../../core/clock.js';
import { silentLogger } from '../../core/log.js';
import { noMeter } from '../../core/meter.js';
import { systemRandom } from '../../core/random.js';
import type { LimitEnv } from '../../resilience/ratelimit/env.js';
import { requestLimits } from '../../resilience/ratelimit/request-limits.js';
import { LimitStores } from '../../resilience/ratelimit/stores.js';
import { limitMatching } from '../../routing/limit-matching.js';
import type { ServerParts } from '../parts.js';
import { LimitsGate } from './gate.js';
import { rateLimits, type RateLimitOptions } from './options.js';
import { canonicalPath } from './path.js';

/** By mesh, or by clock where there is none, and by options: servers of one that were given the same object share its counts. */
const gates = new WeakMap<ServerParts | Clock, WeakMap<RateLimitOptions, LimitsGate>>();
let unnamed = 0;

/** The limits that an application gives a server itself. They count in the mesh's stores; without a mesh, in their own. Throws DecodeError. */
export function ownLimits(
  options: RateLimitOptions | undefined,
  mesh: ServerParts | undefined,
  clock: Clock,
): LimitsGate | undefined {
  if (options === undefined) return undefined;
  const owner = mesh ?? clock;
  const known = gates.get(owner) ?? new WeakMap<RateLimitOptions, LimitsGate>();
  gates.set(owner, known);
  let gate = known.get(options);
  if (gate === undefined) {
    const limits = rateLimits(options, `server-${++unnamed}`);
    // Who makes a request is another one each time.
    const matching = limitMatching({ random: mesh?.random ?? systemRandom });
    gate = new LimitsGate(
      requestLimits(limits, { ...(mesh?.limits ?? ownEnv(clock)), matching }),
      undefined,
      canonicalPath,
    );
    known.set(options, gate);
  }
  return gate;
}

/** Without a mesh: counts of this process, that nobody else sees. */
function ownEnv(clock: Clock): Omit<LimitEnv, 'matching'> {
  const known = envs.get(clock);
  if (known !== undefined) return known;
  const stores = new LimitStores({ clock, random: systemRandom, meter: noMeter, logger: silentLogger });
  const env = { clock, meter: noMeter, stores };
  envs.set(clock, env);
  return env;
}

const envs = new WeakMap<Clock, Omit<LimitEnv, 'matching'>>();
