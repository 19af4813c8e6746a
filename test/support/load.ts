import { MetricRecorder } from '../../src/server/orca/metric-recorder.js';
import type { LoadSources } from '../../src/server/orca/sources.js';
import { FakeClock } from './fake-clock.js';

/** A process whose load is what a test says. */
export class FakeSources implements LoadSources {
  cpu = 0;
  cpus = 4;
  mem = 0;
  activeMs = 0;
  idleMs = 0;
  lag = 0;
  closed = false;
  cpuMs = (): number => this.cpu;
  cores = (): number => this.cpus;
  memory = (): number => this.mem;
  eventLoop = () => ({ activeMs: this.activeMs, idleMs: this.idleMs });
  lagMs = (): number => this.lag;
  close(): void {
    this.closed = true;
  }
}

/** A recorder over such a process, measured at most once a second. */
export function recorderOf(clock = new FakeClock()) {
  const sources = new FakeSources();
  return { clock, sources, recorder: new MetricRecorder({ clock, sources, sampleMs: 1_000 }) };
}
