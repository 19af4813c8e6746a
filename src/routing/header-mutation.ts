import { appendHeader, type HeaderFields } from '../core/headers.js';
import type { HeaderMutation } from '../core/model/route.js';
import { compileFormat, type Format } from './format/format.js';
import type { FormatEnv, FormatReply, FormatRequest } from './format/values.js';

/** Changes header fields, of a request (then `reply` is undefined) or of a reply. */
export type Mutator = (
  fields: HeaderFields,
  request: FormatRequest,
  reply: FormatReply | undefined,
  env: FormatEnv,
) => void;

interface Change {
  readonly name: string;
  readonly value: Format;
  readonly action: HeaderMutation['set'][number]['action'];
  readonly keepEmpty: boolean;
}

/** Compiles the changes of a level and of those after it; undefined when there are none. */
export function compileMutation(mutation: HeaderMutation | undefined): Mutator | undefined {
  const levels: Mutator[] = [];
  for (let level = mutation; level !== undefined; level = level.next) {
    const mutator = compileLevel(level);
    if (mutator !== undefined) levels.push(mutator);
  }
  const [first, second] = levels;
  if (first === undefined || second === undefined) return first;
  return (fields, request, reply, env) => {
    for (const level of levels) level(fields, request, reply, env);
  };
}

function compileLevel({ remove, set }: HeaderMutation): Mutator | undefined {
  // "An empty value adds nothing unless it is asked for" - base.proto, keep_empty_value: a literal one is known now.
  const changes: Change[] = set
    .map(({ name, value, action, keepEmpty }) => ({
      name,
      value: compileFormat(value),
      action,
      keepEmpty: keepEmpty ?? false,
    }))
    .filter(({ value, keepEmpty }) => value !== '' || keepEmpty);
  if (changes.length === 0 && remove.length === 0) return undefined;
  const [only, second] = changes;
  if (only === undefined || second === undefined) {
    return (fields, request, reply, env) => {
      for (const name of remove) delete fields[name];
      if (only === undefined) return;
      const value = valueFor(only, fields, request, reply, env);
      if (value !== undefined) put(fields, only, value);
    };
  }
  return (fields, request, reply, env) => {
    for (const name of remove) delete fields[name];
    // Envoy's HeaderParser::evaluateHeaders: all values from the fields as they are now, then what overwrites, then what adds.
    const values = changes.map((change) => valueFor(change, fields, request, reply, env));
    for (const adds of [false, true]) {
      for (let i = 0; i < changes.length; i++) {
        const change = changes[i] as Change;
        const value = values[i];
        if (value !== undefined && isAddition(change) === adds) put(fields, change, value);
      }
    }
  };
}

const isAddition = ({ action }: Change): boolean => action === 'append' || action === 'addIfAbsent';

/** What the field is to have; undefined when the change does not apply. */
function valueFor(
  { name, value, action, keepEmpty }: Change,
  fields: HeaderFields,
  request: FormatRequest,
  reply: FormatReply | undefined,
  env: FormatEnv,
): string | undefined {
  if (action === 'addIfAbsent' && fields[name] !== undefined) return undefined;
  if (action === 'overwriteIfExists' && fields[name] === undefined) return undefined;
  const text = typeof value === 'string' ? value : value(request, reply, env);
  return text === '' && !keepEmpty ? undefined : text;
}

function put(fields: HeaderFields, change: Change, value: string): void {
  if (isAddition(change)) appendHeader(fields, change.name, value);
  else fields[change.name] = value;
}

/** The names that a level and those after it may change, each once. */
export function mutatedNames(mutation: HeaderMutation): ReadonlySet<string> {
  const names = new Set<string>();
  for (let level: HeaderMutation | undefined = mutation; level !== undefined; level = level.next) {
    for (const name of level.remove) names.add(name);
    for (const { name } of level.set) names.add(name);
  }
  return names;
}
