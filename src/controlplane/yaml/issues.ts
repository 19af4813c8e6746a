import type * as v from 'valibot';
import { nearest, shown } from '../../core/decode.js';
import type { Path, Report } from './problem.js';

/** Says what valibot found in the words of our messages. Unknown fields are `reportUnknownFields`'s. */
export function reportIssues(issues: readonly v.BaseIssue<unknown>[], report: Report): void {
  const seen = new Set<string>();
  for (const issue of issues) {
    const path: Path = (issue.path ?? []).map((step) => step.key as string | number);
    if (issue.type === 'strict_object' && issue.expected === 'never') continue;
    // One field, one message: a text that is too long and of the wrong form is wrong once.
    const key = JSON.stringify(path);
    if (seen.has(key)) continue;
    seen.add(key);
    describe(issue, path, report);
  }
}

function describe(issue: v.BaseIssue<unknown>, path: Path, report: Report): void {
  const missing = issue.type === 'strict_object' && issue.input === undefined;
  if (missing) report(path, 'is missing', { expected: 'a value' });
  else if (issue.type === 'picklist' || issue.type === 'literal') unknownName(issue, path, report);
  else if (issue.type === 'union') union(issue, path, report);
  else if (issue.type === 'never') report(path, issue.message);
  else wrongValue(issue, path, report);
}

function wrongValue(issue: v.BaseIssue<unknown>, path: Path, report: Report): void {
  const expected = issue.message.startsWith('must ')
    ? issue.message
    : `must be ${ARTICLES[issue.expected ?? ''] ?? issue.expected}`;
  const got = Array.isArray(issue.input) ? `a list of ${issue.input.length}` : shown(issue.input);
  report(path, `${expected}, got ${got}`, { expected: expected.replace(/^must (be |have )?/, '') });
}

const ARTICLES: Readonly<Record<string, string>> = {
  Object: 'a mapping of fields',
  Array: 'a list',
  string: 'a string',
  boolean: 'true or false',
  number: 'a number',
};

/** One of a few names, which valibot shows as `("A" | "B")`. */
function unknownName(issue: v.BaseIssue<unknown>, path: Path, report: Report): void {
  const names = [...(issue.expected ?? '').matchAll(/"([^"]*)"|([0-9]+)/g)].map(
    (found) => found[1] ?? (found[2] as string),
  );
  const near = typeof issue.input === 'string' ? nearest(issue.input, names) : undefined;
  const expected = names.length === 1 ? `"${names[0]}"` : `one of ${names.join(', ')}`;
  const hint = near === undefined ? '' : `; did you mean "${near}"?`;
  report(path, `must be ${expected}, got ${shown(issue.input)}${hint}`, {
    expected,
    ...(near !== undefined && { nearest: near }),
  });
}

/** Several forms are allowed: when the value is of one of their types, that form's own complaints say more. */
function union(issue: v.BaseIssue<unknown>, path: Path, report: Report): void {
  const inner = (issue.issues ?? []) as readonly v.BaseIssue<unknown>[];
  const closer = inner.filter((sub) => (sub.path?.length ?? 0) > 0 || sub.kind === 'validation');
  if (closer.length > 0) {
    const below: Report = (rest, message, hints) => report([...path, ...rest], message, hints);
    reportIssues(closer, below);
    return;
  }
  const forms = [
    ...new Set(inner.map((sub) => ARTICLES[sub.expected ?? ''] ?? sub.message.replace(/^must be /, ''))),
  ].join(' or ');
  report(path, `must be ${forms}, got ${shown(issue.input)}`, { expected: forms });
}
