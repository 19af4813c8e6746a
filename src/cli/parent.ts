import type { Clock } from '../core/clock.js';

/** How often the parent is looked after, in milliseconds. */
const CHECK_MS = 500;

/**
 * Whether `npx inmesh …` (npm exec) started this process: `npx` runs a shell that runs the command. When `npx` is told to end it tells the shell alone,
 * which ends and tells nobody; a service started by its own file, by a supervisor, or by `nohup` in a shell of somebody's has no such parent.
 */
export const startedByNpx = (env: Readonly<Record<string, string | undefined>>): boolean =>
  env['npm_command'] === 'exec' && /^["']?inmesh["']?(\s|$)/.test(env['npm_lifecycle_script'] ?? '');

/** Calls `gone` once the process that is the parent now no longer is; returns the end of the watch. */
export function watchParent(parent: () => number, clock: Clock, gone: () => void): () => void {
  const first = parent();
  let stop: () => void;
  const look = (): void => {
    if (parent() !== first) gone();
    else stop = clock.after(CHECK_MS, look, { background: true });
  };
  stop = clock.after(CHECK_MS, look, { background: true });
  return () => stop();
}
