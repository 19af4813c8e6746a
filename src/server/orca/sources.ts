import { availableParallelism, totalmem } from 'node:os';
// biome-ignore lint/style/noRestrictedImports: of `performance` only the event loop's utilization is read, no time
import { monitorEventLoopDelay, performance } from 'node:perf_hooks';

/** Where the load of a process is read. */
export interface LoadSources {
  /** Milliseconds of CPU time used so far, all threads together. */
  cpuMs(): number;
  /** Cores that it may use. */
  cores(): number;
  /** Memory in use as a share of what it may use, 0 to 1. */
  memory(): number;
  /** Milliseconds that the event loop of this thread has worked, and rested, so far. */
  eventLoop(): { readonly activeMs: number; readonly idleMs: number };
  /** Milliseconds that timers were late, at the 99th percentile since the last time of asking. */
  lagMs(): number;
  close(): void;
}

/** How often the event loop is looked at for its lag, in milliseconds. */
const LAG_RESOLUTION_MS = 20;

/** This process, seen from this thread. `close` ends the measuring of lag, which keeps no process alive. */
export function processSources(): LoadSources {
  const delays = monitorEventLoopDelay({ resolution: LAG_RESOLUTION_MS });
  delays.enable();
  return {
    cpuMs() {
      const { user, system } = process.cpuUsage();
      return (user + system) / 1_000;
    },
    cores: availableParallelism,
    memory: () => Math.min(1, process.memoryUsage.rss() / memoryLimit()),
    eventLoop() {
      const { active, idle } = performance.eventLoopUtilization();
      return { activeMs: active, idleMs: idle };
    },
    lagMs() {
      // Node counts from one look to the next, in nanoseconds: on time is the resolution itself.
      const late = delays.count === 0 ? 0 : delays.percentile(99) / 1e6 - LAG_RESOLUTION_MS;
      delays.reset();
      return Math.max(0, late);
    },
    close: () => void delays.disable(),
  };
}

/** Bytes: the limit of the control group where there is one, else what the machine has. */
function memoryLimit(): number {
  const limit = process.constrainedMemory?.() ?? 0;
  const total = totalmem();
  // "If there is no constraint … 0" or a number larger than the machine - Node, process.constrainedMemory.
  return limit > 0 && limit < total ? limit : total;
}
