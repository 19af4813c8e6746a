import type { FaultConfig } from '../../core/model/fault.js';
import type { OwnFaults } from './own-faults.js';

/** A filter of a listener that injects faults. `faults` undefined: none, unless a route has its own. */
export interface FaultFilter {
  readonly filter: string;
  readonly faults: OwnFaults | undefined;
}

/** What all filters come to for a route, in their order; a route's own takes the place of the filter's (gRFC A33). */
export function faultsUnder(
  filters: readonly FaultFilter[],
  overrideOf: (filter: string) => { readonly faults: OwnFaults | undefined } | 'off' | undefined,
): readonly FaultConfig[] | undefined {
  const found: FaultConfig[] = [];
  for (const { filter, faults: own } of filters) {
    const said = overrideOf(filter);
    const faults = said === 'off' ? undefined : said === undefined ? own : said.faults;
    if (faults !== undefined) found.push({ name: filter, ...faults });
  }
  return found.length === 0 ? undefined : found;
}
