/** Where something stands in a file; line and column count from 1, 0 when the text has no lines (programs' own options). */
export interface Place {
  readonly file: string;
  readonly line: number;
  readonly column: number;
}

/** From the resource's root to a field: `['spec', 'rules', 0, 'name']`. */
export type Path = readonly (string | number)[];

/** One mistake in the configuration. */
export interface Problem extends Place {
  /** `HTTPRoute/reviews`, with the namespace when it is not `default`; empty when the text is not even a resource. */
  readonly resource: string;
  /** `spec.rules[0].backendRefs[0].wieght`; empty for the whole resource. */
  readonly path: string;
  /** What is wrong and what to do, without the place. */
  readonly message: string;
  /** What would have been right, when that can be said in a few words. */
  readonly expected?: string;
  /** The known name that the wrong one most resembles. */
  readonly nearest?: string;
}

/** What a check says of one field. */
export type Report = (
  path: Path,
  message: string,
  hints?: { readonly expected?: string; readonly nearest?: string },
) => void;

/** Problems that are kept; a file that is wrong from end to end says enough with these. */
export const MAX_PROBLEMS = 1_000;

/** Collects up to `MAX_PROBLEMS` problems and drops the rest. */
export class Problems {
  readonly list: Problem[] = [];

  add(problem: Problem): void {
    if (this.list.length < MAX_PROBLEMS) this.list.push(problem);
  }
}

/** `spec.rules[0].name`; keys that are no plain names are quoted: `metadata.labels["a.b/c"]`. */
export function pathText(path: Path): string {
  let text = '';
  for (const step of path) {
    if (typeof step === 'number') text += `[${step}]`;
    else if (!/^[\w$-]+$/.test(step)) text += `[${JSON.stringify(step)}]`;
    else text += text === '' ? step : `.${step}`;
  }
  return text;
}

/** `mesh.yaml:12:7 HTTPRoute/reviews spec.rules[0].name: must be …` */
export function formatProblem(problem: Problem): string {
  const place = problem.line > 0 ? `${problem.file}:${problem.line}:${problem.column}` : problem.file;
  const subject = [place, problem.resource, problem.path].filter((part) => part !== '').join(' ');
  return `${subject}: ${problem.message}`;
}

/** Problems in the order in which a reader meets them: by file, line, column. */
export function sortProblems(problems: readonly Problem[]): Problem[] {
  return [...problems].sort(
    (a, b) => (a.file < b.file ? -1 : a.file > b.file ? 1 : 0) || a.line - b.line || a.column - b.column,
  );
}
