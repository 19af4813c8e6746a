import type { Limit, LimitRule } from '../../core/model/limit.js';
import { countName, type KeyValues } from './key.js';

type Found = Limit | 'unlimited' | 'skip' | undefined;

/** Looks up the limit for a key: the first override that fits, in one look for those that name every value; else the rule's own. */
export function overridesOf({ overrides = [], limit }: LimitRule): (values: KeyValues) => Found {
  if (overrides.length === 0) return () => limit;
  const exact = new Map<string, number>();
  const open: number[] = [];
  for (const [index, { values }] of overrides.entries()) {
    if (values.includes(undefined)) open.push(index);
    else {
      const name = countName('', values);
      if (!exact.has(name)) exact.set(name, index);
    }
  }
  return (values) => {
    let best = exact.size === 0 ? undefined : exact.get(countName('', values));
    for (const index of open) {
      if (best !== undefined && index > best) break;
      if ((overrides[index]?.values ?? []).every((value, i) => value === undefined || value === values[i])) {
        best = index;
        break;
      }
    }
    return best === undefined ? limit : overrides[best]?.limit;
  };
}
