import { eventLines, paint, screen } from './view.mjs';
import { header, line } from './table.mjs';

const ENTER = '\x1b[?1049h\x1b[?25l';
const LEAVE = '\x1b[?25h\x1b[?1049l';
/** Draws in place on a terminal's second screen, so that what was there before comes back at the end. */
export class LiveScreen {
  /** One second: a change is to be seen within that. */
  readingsPerWindow = 2;
  #out;
  #colour = !process.env.NO_COLOR;
  #leave = () => this.#out.write(LEAVE);

  constructor(out) {
    this.#out = out;
    out.write(ENTER);
    // Also when the program ends in a way that nobody planned.
    process.once('exit', this.#leave);
  }

  draw(view) {
    const { columns: width = 100, rows: height = 40 } = this.#out;
    const lines = screen({ ...view, width, height });
    // One write, and lines are cleared behind their text: nothing flickers.
    this.#out.write(`\x1b[H${lines.map((parts) => `${paint(parts, this.#colour)}\x1b[K`).join('\r\n')}\x1b[J`);
  }

  event() {}

  /** Gives the terminal back; `text` stays on it. */
  close(text) {
    process.off('exit', this.#leave);
    this.#leave();
    this.#out.write(text);
  }

  end(text) {
    this.#out.write(text);
  }
}

/** Appends: for a pipe or a file. */
export class Log {
  /** Two seconds, and a snapshot of the table for each. */
  readingsPerWindow = 4;
  #out;
  #readings = 0;
  #begun = false;

  constructor(out) {
    this.#out = out;
  }

  draw({ title, rows, advice }) {
    if (!this.#begun) {
      this.#begun = true;
      this.#out.write(`${[title, '', ...advice, ''].join('\n')}\n`);
    }
    this.#readings += 1;
    if (this.#readings % this.readingsPerWindow === 0) this.#out.write(`${tableText(rows)}\n`);
  }

  event(event) {
    this.#out.write(`${eventLines(event, Number.POSITIVE_INFINITY).join('\n')}\n`);
  }

  close(text) {
    this.#out.write(`\n${text}`);
  }

  end(text) {
    this.#out.write(text);
  }
}

/** The table as plain text. */
export const tableText = (rows) => [header(), ...rows.map(line), ''].join('\n');

/** A live screen on a terminal that can do it, else a log. */
export const openOutput = (out) => (out.isTTY && process.env.TERM !== 'dumb' ? new LiveScreen(out) : new Log(out));
