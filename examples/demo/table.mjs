/** Who is shown first: from the customers inwards. */
const CALLERS = ['customers', 'frontend', 'reviews', 'details'];

/** What mesh clients measured lately, row by row: who called what, how often, how well and how fast. */
export class Table {
  #clients;
  #readingsPerWindow;
  #readings = new Map();

  /** `clients`: mesh clients by the name of the service that uses them. */
  constructor(clients, readingsPerWindow) {
    this.#clients = [...clients].sort(([a], [b]) => CALLERS.indexOf(a) - CALLERS.indexOf(b));
    this.#readingsPerWindow = readingsPerWindow;
  }

  /** Reads the counters, and returns the rows for the last window. */
  read() {
    return this.#rows((caller, now) => {
      const earlier = this.#readings.get(caller) ?? [];
      earlier.push(now);
      this.#readings.set(caller, earlier.slice(-this.#readingsPerWindow - 1));
      return earlier.length === 1 ? now : now.since(earlier[0]);
    });
  }

  /** The rows since the start. */
  total() {
    return this.#rows((_, now) => now);
  }

  #rows(pick) {
    return this.#clients.flatMap(([caller, mesh]) =>
      pick(caller, mesh.stats()).rows.map((row) => ({ caller, ...row })),
    );
  }
}

const ms = (value) => (value === undefined ? '-' : value < 10 ? `${value.toFixed(1)} ms` : `${Math.round(value)} ms`);
const percent = (value) => (value === undefined ? '-' : `${(value * 100).toFixed(value < 1 ? 1 : 0)}%`);

/** Title, width (left-aligned when negative) and text of each column: 83 characters, and the bar. */
const COLUMNS = [
  ['CALLER', -11, (row) => row.caller],
  ['SERVICE', -11, (row) => row.service],
  ['VERSION', -8, (row) => row.version ?? '-'],
  ['CALLS/S', 8, (row) => row.requestsPerSecond.toFixed(1)],
  ['SUCCESS', 9, (row) => percent(row.successRate)],
  ['P50', 9, (row) => ms(row.p50Ms)],
  ['P95', 9, (row) => ms(row.p95Ms)],
  ['P99', 9, (row) => ms(row.p99Ms)],
  ['RETRIES', 9, (row) => String(row.retries)],
];

const pad = (text, width) => (width < 0 ? text.padEnd(-width) : text.padStart(width));

export const header = () => COLUMNS.map(([title, width]) => pad(title, width)).join('');

/** One row as text; `most` is the rate for which the bar is full. */
export const line = (row) => COLUMNS.map(([, width, text]) => pad(text(row), width)).join('');

/** The rate as a bar of up to `width` characters. */
export const bar = (row, most, width = 12) =>
  '▇'.repeat(Math.round((width * row.requestsPerSecond) / Math.max(most, 1)));

/** How the row is doing: what colour it has. */
export function health(row) {
  if (row.successRate === undefined) return 'idle';
  return row.successRate >= 0.99 ? 'good' : row.successRate >= 0.95 ? 'warn' : 'error';
}
