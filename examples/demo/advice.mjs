import { readFileSync } from 'node:fs';

/**
 * What to try: the comments of the file that begin with "Try", each with the line that it speaks of and what that line says now. Returns
 * lines of text. A file that cannot be read has none; that it cannot is the control plane's to tell.
 */
export function readAdvice(file) {
  const lines = read(file).split('\n');
  const tries = lines.flatMap((line, index) => {
    const text = /^\s*# Try (.*)$/.exec(line)?.[1];
    return text === undefined ? [] : [{ at: index + 2, field: (lines[index + 1] ?? '').trim(), text }];
  });
  const numbers = Math.max(0, ...tries.map(({ at }) => String(at).length));
  const fields = Math.max(0, ...tries.map(({ field }) => field.length));
  return [
    `Edit ${file} and save. Things to try:`,
    ...tries.map(({ at, field, text }) => `  line ${String(at).padEnd(numbers)}  ${field.padEnd(fields)}  try ${text}`),
  ];
}

function read(file) {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return '';
  }
}
