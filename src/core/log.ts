/** Any logger that people have: pino, winston, console. */
export interface Logger {
  debug(message: string, fields?: Readonly<Record<string, unknown>>): void;
  info(message: string, fields?: Readonly<Record<string, unknown>>): void;
  warn(message: string, fields?: Readonly<Record<string, unknown>>): void;
  error(message: string, fields?: Readonly<Record<string, unknown>>): void;
}

export const silentLogger: Logger = { debug() {}, info() {}, warn() {}, error() {} };

export type LogLevel = 'debug' | 'info' | 'warn' | 'error';
const LEVELS: readonly LogLevel[] = ['debug', 'info', 'warn', 'error'];

/** One JSON object a line: `{"time":"…","level":"warn","msg":"…", …fields}`. */
export function jsonLogger(write: (line: string) => void, wallTime: () => number, level: LogLevel = 'info'): Logger {
  const from = LEVELS.indexOf(level);
  const at =
    (name: LogLevel) =>
    (message: string, fields?: Readonly<Record<string, unknown>>): void => {
      if (LEVELS.indexOf(name) < from) return;
      write(`${JSON.stringify({ time: new Date(wallTime()).toISOString(), level: name, msg: message, ...fields })}\n`);
    };
  return { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') };
}
