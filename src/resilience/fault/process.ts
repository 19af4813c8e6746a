import type { Clock } from '../../core/clock.js';
import { ActiveFaults } from './active.js';
import { Experiments } from './experiment.js';

/** What faults share in one process: all that run on one clock, so that tests with clocks of their own know nothing of each other. */
export interface FaultProcess {
  readonly active: ActiveFaults;
  readonly experiments: Experiments;
}

const processes = new WeakMap<Clock, FaultProcess>();

export function faultProcess(clock: Clock): FaultProcess {
  let known = processes.get(clock);
  if (known === undefined) {
    known = { active: new ActiveFaults(), experiments: new Experiments() };
    processes.set(clock, known);
  }
  return known;
}
