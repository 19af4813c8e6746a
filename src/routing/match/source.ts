import type { SourceMatch, StringMatch } from '../../core/model/match.js';
import type { Predicate, Source } from '../request.js';
import { stringTest } from './strings.js';

/** Whether a source satisfies all that a match asks of it. */
function sourceTest({ labels, principals }: SourceMatch): (source: Source | undefined) => boolean {
  const labelTests = labels.map(({ name, match, invert }) => ({ name, test: valueTest(match, invert) }));
  const principalTests = principals.map(({ match, invert }) => valueTest(match, invert));
  return (source) =>
    labelTests.every(({ name, test }) => test(source === undefined ? undefined : own(source.labels, name))) &&
    principalTests.every((test) => test(source?.principal));
}

/** What is not known matches nothing, inverted or not. */
function valueTest(match: StringMatch, invert: boolean): (value: string | undefined) => boolean {
  const test = stringTest(match);
  return (value) => value !== undefined && test(value) !== invert;
}

const own = (labels: Source['labels'], name: string): string | undefined =>
  Object.hasOwn(labels, name) ? labels[name] : undefined;

/**
 * Compiles `source`. `known` is who makes all the requests; then the answer is the same for all and is given now. Undefined: it is looked for in
 * each request.
 */
export function compileSource(match: SourceMatch, known: Source | undefined): Predicate | boolean {
  if (match.labels.length === 0 && match.principals.length === 0) return true;
  const test = sourceTest(match);
  return known === undefined ? (request) => test(request.source) : test(known);
}
