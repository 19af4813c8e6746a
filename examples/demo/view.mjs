import { bar, header, health, line } from './table.mjs';

const STYLES = { title: '1', dim: '2', idle: '2', good: '32', warn: '33', error: '31', bar: '36' };

/** Puts `text` into lines of at most `width` characters; lines after the first begin with `indent`. */
export function wrap(text, width, indent) {
  return text.split('\n').flatMap((paragraph, index) => {
    const lines = [];
    let rest = index === 0 ? paragraph : indent + paragraph;
    while (rest.length > width) {
      const space = rest.lastIndexOf(' ', width);
      const end = space > indent.length ? space : width;
      lines.push(rest.slice(0, end));
      rest = indent + rest.slice(end).trimStart();
    }
    return [...lines, rest];
  });
}

const clock = (date) => date.toTimeString().slice(0, 8);

/** One event as lines of plain text. */
export const eventLines = ({ at, text }, width) => wrap(`${clock(at)}  ${text}`, width, ' '.repeat(10));

/**
 * The whole screen as lines of `[style, text]` parts, no wider than `width`. Events take what is left of `height`, the newest at the
 * bottom.
 */
export function screen({ title, rows, advice, events, width, height }) {
  const most = Math.max(...rows.map((row) => row.requestsPerSecond), 1);
  const lines = [
    [['title', title]],
    [],
    [['dim', header()]],
    ...rows.map((row) => [
      [health(row), line(row)],
      ['bar', `  ${bar(row, most)}`],
    ]),
    [],
    ...advice
      .flatMap((text) => wrap(text, width, ' '.repeat(12)))
      .map((text, index) => [[index === 0 ? 'title' : '', text]]),
    [],
  ];
  const told = events.flatMap((event) => eventLines(event, width).map((text) => [[event.level, text]]));
  const room = Math.max(1, height - lines.length);
  return [...lines, ...told.slice(-room)].slice(0, height).map((parts) => clip(parts, width));
}

function clip(parts, width) {
  let left = width;
  return parts.map(([style, text]) => {
    const kept = text.slice(0, left);
    left -= kept.length;
    return [style, kept];
  });
}

/** A line with or without colour. */
export const paint = (parts, colour) =>
  parts.map(([style, text]) => (colour && STYLES[style] ? `\x1b[${STYLES[style]}m${text}\x1b[0m` : text)).join('');
