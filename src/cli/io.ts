import type { Logger } from '../core/log.js';

/** All that a command touches of the process; tests give their own. */
export interface Io {
  /** What was asked for: data. Lines, with their ends. */
  out(text: string): void;
  /** Everything else: log lines, mistakes. */
  err(text: string): void;
  /** Log lines of what runs, at the level that `--log-level` names. */
  logger(level: LogLevelName): Logger;
  /** Resolves at the first SIGINT or SIGTERM, or when the `npx` that ran the command is gone; a second signal ends the process at once. */
  stopped(): Promise<void>;
}

export const LOG_LEVELS = ['debug', 'info', 'warn', 'error'] as const;
export type LogLevelName = (typeof LOG_LEVELS)[number];

/** Exit codes; stable, for scripts. `denied`, `depends`: what `authz explain --exit-code` says. */
export const EXIT = { ok: 0, failed: 1, usage: 2, denied: 3, depends: 4 } as const;
export type ExitCode = (typeof EXIT)[keyof typeof EXIT];

export type OutputFormat = 'text' | 'json';

/** An error's own words, without its stack: the command's messages are for people. */
export const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

/** What was asked for, with the port that was had: they differ for port 0. */
export const withPort = (address: string, port: number): string =>
  `${address.slice(0, address.lastIndexOf(':'))}:${port}`;
