import type { SourceMatch } from '../../core/model/match.js';
import type { Message } from './message.js';
import { stringMatch } from './string-match.js';

/** The name that stands for the caller in `dynamic_metadata`. */
export const SOURCE_FILTER = 'inmesh.dev/source';

type Labels = SourceMatch['labels'];
type Principals = SourceMatch['principals'];

/**
 * `RouteMatch.dynamic_metadata`. Of the filter `inmesh.dev/source` it is about the caller: the path `labels`, then a label's name, or the path
 * `principal`, with a `string_match`. `unknown`: there is some of another filter.
 */
export function sourceMatch(match: Message): { readonly source: SourceMatch | undefined; readonly unknown: boolean } {
  const labels: Labels[number][] = [];
  const principals: Principals[number][] = [];
  let unknown = false;
  for (const matcher of match.each('dynamic_metadata')) {
    if (matcher.text('filter') !== SOURCE_FILTER) {
      unknown = true;
      continue;
    }
    const value = matcher.required('value');
    if (!value.has('string_match')) throw value.error('', 'must be a string_match');
    const found = { match: stringMatch(value.required('string_match')), invert: matcher.flag('invert') };
    const [kind, name, ...more] = matcher.messages('path').map((segment) => segment.requiredText('key'));
    if (kind === 'labels' && name !== undefined && more.length === 0) labels.push({ name, ...found });
    else if (kind === 'principal' && name === undefined) principals.push(found);
    else throw matcher.error('path', 'must be "labels" and the name of a label, or "principal"');
  }
  const any = labels.length > 0 || principals.length > 0;
  return { source: any ? { labels, principals } : undefined, unknown };
}
