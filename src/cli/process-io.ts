import { systemClock } from '../core/clock.js';
import { jsonLogger } from '../core/log.js';
import type { Io } from './io.js';
import { startedByNpx, watchParent } from './parent.js';

/** The process itself: standard output and error, and its signals. */
export function processIo(): Io {
  // A reader that has had enough (`| head`) is no failure of ours.
  process.stdout.on('error', () => {});
  process.stderr.on('error', () => {});
  const err = (text: string): void => {
    process.stderr.write(text);
  };
  return {
    out: (text) => {
      process.stdout.write(text);
    },
    err,
    logger: (level) => jsonLogger(err, systemClock.wallTime, level),
    stopped: () =>
      new Promise((resolve) => {
        let asked = false;
        const onSignal = (signal: NodeJS.Signals): void => {
          if (asked) process.exit(signal === 'SIGINT' ? 130 : 143);
          asked = true;
          resolve();
        };
        process.on('SIGINT', onSignal);
        process.on('SIGTERM', onSignal);
        if (startedByNpx(process.env)) watchParent(() => process.ppid, systemClock, resolve);
      }),
  };
}
