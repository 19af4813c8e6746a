import { MeshError } from '../../core/errors.js';
import type { RouteConfiguration } from '../../core/model/route.js';
import { runToEnd } from '../../core/steps.js';
import { configurationUnder } from '../resources/filter-overrides.js';
import type { RouteFilters } from '../resources/route-filters.js';
import type { FilteredSource } from '../resources/server-filter-chain.js';
import { retain } from '../resources/share.js';

interface Filtered {
  readonly config: RouteConfiguration;
  readonly filters: RouteFilters;
  readonly result: RouteConfiguration;
}

/** Route configurations as chains with filters of their own see them: made anew when either changes, of what did not change before. */
export class FilteredRoutes {
  readonly #found = new Map<string, Filtered>();

  of(source: FilteredSource, config: RouteConfiguration | MeshError): RouteConfiguration | MeshError {
    const { key, filters } = source;
    if (key === undefined || filters === undefined || config instanceof MeshError) return config;
    const last = this.#found.get(key);
    if (last !== undefined && last.config === config && last.filters === filters) return last.result;
    const result = retain(last?.result, runToEnd(configurationUnder(config, filters)));
    this.#found.set(key, { config, filters, result });
    return result;
  }

  /** Forgets all others. */
  keep(keys: { has(key: string): boolean }): void {
    for (const key of this.#found.keys()) if (!keys.has(key)) this.#found.delete(key);
  }
}
