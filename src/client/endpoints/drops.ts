import type { ClusterLoad } from '../../core/load-reports.js';
import type { ClusterConfig } from '../../core/model/cluster.js';
import type { Random } from '../../core/random.js';
import type { Filter } from '../../core/service.js';
import { DroppedError } from './errors.js';

/** Drops shares of the calls that the control plane asks to drop (EDS `policy.drop_overloads`); each category rolls for itself, in order. */
export const drops = (
  config: ClusterConfig,
  load: ClusterLoad | undefined,
  env: { readonly random: Random },
): Filter | undefined =>
  config.drops.length === 0
    ? undefined
    : (next) => (call) => {
        for (const { category, share } of config.drops) {
          if (env.random.next() >= share) continue;
          load?.dropped(category);
          return Promise.reject(new DroppedError(config.name, category));
        }
        return next(call);
      };
