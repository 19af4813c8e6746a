/** How many endpoints of one priority there are, and how many are of use. */
export interface PriorityHealth {
  readonly usable: number;
  readonly degraded: number;
  /** All, those that are of no use included. */
  readonly total: number;
}

/** What each priority gets, in percent; together 100. */
export interface Spread {
  /** To those that are usable; in panic, to all of the priority. */
  readonly usable: readonly number[];
  readonly degraded: readonly number[];
  readonly panic: readonly boolean[];
}

/**
 * Envoy's priorities: each takes its share of usable endpoints × `overprovisioning` of what there is to take, at most all of it; what is too much for one
 * spills over to the next; degraded endpoints take what is left; and when all together are too few, what there is is scaled up. In whole
 * percents, as Envoy has them (`LoadBalancerBase::recalculatePerPriorityState`), so that the two agree.
 *
 * `panicThreshold`: share of endpoints of use below which a priority's are all used; undefined: only when no priority has any.
 */
export function prioritySpread(
  priorities: readonly PriorityHealth[],
  overprovisioning: number,
  panicThreshold: number | undefined,
): Spread {
  const percent = Math.round(overprovisioning * 100);
  const availability = (part: 'usable' | 'degraded'): number[] =>
    priorities.map((health) =>
      health.total === 0 ? 0 : Math.min(100, Math.floor((percent * health[part]) / health.total)),
    );
  const healthy = availability('usable');
  const degraded = availability('degraded');
  const available = Math.min(100, sum(healthy) + sum(degraded));
  if (available === 0 && panicThreshold === 0) {
    // Panic is switched off, and nobody can serve: the first priority has all, and nobody to give it to.
    return { ...alone(priorities), panic: priorities.map(() => false) };
  }
  // "Never set panic mode if normalized total health is 100%, even when individual priority level has very low # of healthy hosts." - Envoy
  const panic = priorities.map((health) => available < 100 && inPanic(health, panicThreshold, available));
  if (panic.every(Boolean)) return { ...bySize(priorities), panic };
  const left = { value: 100 };
  const usableShares = distribute(healthy, left, available);
  const degradedShares = distribute(degraded, left, available);
  // What is left are rounding errors.
  const first = healthy.findIndex((share) => share > 0);
  if (first >= 0) usableShares[first] = (usableShares[first] as number) + left.value;
  else {
    const at = Math.max(
      0,
      degraded.findIndex((share) => share > 0),
    );
    degradedShares[at] = (degradedShares[at] as number) + left.value;
  }
  return { usable: usableShares, degraded: degradedShares, panic };
}

function inPanic({ usable, degraded, total }: PriorityHealth, threshold: number | undefined, available: number) {
  if (threshold === undefined) return available === 0;
  return total === 0 ? threshold > 0 : (usable + degraded) / total < threshold;
}

/** "total_load -= per_priority_load[i]" - Envoy `distributeLoad` */
function distribute(availability: readonly number[], left: { value: number }, available: number): number[] {
  return availability.map((share) => {
    const taken = available === 0 ? 0 : Math.min(left.value, Math.floor((share * 100) / available));
    left.value -= taken;
    return taken;
  });
}

/** "In panic mode the calculation is based not on the number of healthy hosts but based on the number of total hosts in the priority." - Envoy */
function bySize(priorities: readonly PriorityHealth[]): Pick<Spread, 'usable' | 'degraded'> {
  const total = sum(priorities.map((priority) => priority.total));
  if (total === 0) return alone(priorities);
  const usable = priorities.map((priority) => Math.floor((100 * priority.total) / total));
  const first = priorities.findIndex((priority) => priority.total > 0);
  usable[first] = (usable[first] as number) + 100 - sum(usable);
  return { usable, degraded: priorities.map(() => 0) };
}

function alone(priorities: readonly PriorityHealth[]): Pick<Spread, 'usable' | 'degraded'> {
  return { usable: priorities.map((_, i) => (i === 0 ? 100 : 0)), degraded: priorities.map(() => 0) };
}

const sum = (numbers: readonly number[]): number => numbers.reduce((total, number) => total + number, 0);
