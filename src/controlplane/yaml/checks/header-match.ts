import type { Path, Report } from '../problem.js';
import type { HeaderMatchSpec } from '../schema/header-match.js';
import { checkRegex } from './route.js';

export function checkHeaderMatch({ type, value }: HeaderMatchSpec, at: Path, report: Report): void {
  if (type === 'Present' && value !== undefined) report([...at, 'value'], 'means nothing with type Present: remove it');
  if (type !== 'Present' && value === undefined) report([...at, 'value'], `is missing: type ${type} needs it`);
  if (type === 'RegularExpression' && value !== undefined) checkRegex(value, [...at, 'value'], report);
}

export function checkHeaderMatches(matches: readonly HeaderMatchSpec[] | undefined, at: Path, report: Report): void {
  matches?.forEach((match, index) => {
    checkHeaderMatch(match, [...at, index], report);
  });
}
