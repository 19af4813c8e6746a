import type { Clock } from '../../core/clock.js';
import type { Meter } from '../../core/meter.js';
import { ActiveFaults } from './active.js';
import { Experiments } from './experiment.js';

const processes = new WeakMap<Clock, ActiveFaults>();
const meshes = new WeakMap<object, Experiments>();

/** Faults under way in one process: all that run on one clock, so that tests with clocks of their own know nothing of each other. */
export const activeFaults = (clock: Clock): ActiveFaults => known(processes, clock, () => new ActiveFaults());

/** Experiments of the mesh whose meter it is: what has stopped in one begins anew in the next of the same process. */
export const experimentsOf = (meter: Pick<Meter, 'event'>): Experiments =>
  known(meshes, meter, () => new Experiments());

function known<K extends object, V>(all: WeakMap<K, V>, key: K, make: () => V): V {
  let value = all.get(key);
  if (value === undefined) {
    value = make();
    all.set(key, value);
  }
  return value;
}
