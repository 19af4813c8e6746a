/**
 * About how many instructions an expression in RE2's syntax compiles to, told from its text: so that one of a few bytes that would become
 * millions of instructions (`a{1000}` a hundred times) is never compiled. Repetition multiplies what it repeats, and nests. Of what RE2
 * shortens only one thing is known here: single characters between bars are one class.
 */
export function estimatedProgramSize(source: string): number {
  const groups: Group[] = [new Group()];
  let last = 0;
  const top = (): Group => groups.at(-1) as Group;
  const atom = (size: number): void => {
    top().add(last);
    last = size;
  };
  for (let i = 0; i < source.length; i++) {
    const char = source[i] as string;
    if (char === '\\') i = endOfEscape(source, i, atom);
    else if (char === '[') {
      atom(1);
      i = endOfClass(source, i);
    } else if (char === '(') {
      atom(0);
      groups.push(new Group());
      i = endOfGroupHead(source, i);
    } else if (char === ')' && groups.length > 1) {
      top().add(last);
      last = (groups.pop() as Group).size;
    } else if (char === '|') {
      top().add(last);
      last = 0;
      top().branch();
    } else if (char === '{') {
      const [text = '', least = '', most = ''] = REPETITION.exec(source.slice(i, i + 16)) ?? [];
      if (text === '') atom(1);
      else {
        last *= Math.max(1, Number(least), Number(most));
        i += text.length - 1;
      }
    } else if (!'*+?^$'.includes(char)) atom(1);
  }
  while (groups.length > 1) {
    top().add(last);
    last = (groups.pop() as Group).size;
  }
  top().add(last);
  return top().size;
}

const REPETITION = /^\{(\d+)(?:,(\d*))?\}/;

/** What stands between two parentheses, as far as it was read. */
class Group {
  #branches = 0;
  /** A branch of one instruction: together they are one. */
  #single = 0;
  #branch = 0;

  add(size: number): void {
    this.#branch += size;
  }

  branch(): void {
    if (this.#branch === 1) this.#single = 1;
    else this.#branches += this.#branch;
    this.#branch = 0;
  }

  get size(): number {
    return (
      this.#branches + Math.max(this.#single, this.#branch === 1 ? 1 : 0) + (this.#branch === 1 ? 0 : this.#branch)
    );
  }
}

/** Index of the last character of an escape. `\Q…\E` is text; `\b` and its like match nothing and cost nothing worth counting. */
function endOfEscape(source: string, at: number, atom: (size: number) => void): number {
  const kind = source[at + 1];
  if (kind === undefined) return at;
  if (kind === 'Q') {
    const end = source.indexOf('\\E', at + 2);
    const text = source.slice(at + 2, end < 0 ? undefined : end);
    for (const _ of text) atom(1);
    return end < 0 ? source.length : end + 1;
  }
  atom('bBAzZ'.includes(kind) ? 0 : 1);
  if ('pPx'.includes(kind) && source[at + 2] === '{') {
    const end = source.indexOf('}', at);
    if (end > 0) return end;
  }
  return 'pP'.includes(kind) ? at + 2 : at + 1;
}

/** Index of the bracket that ends a class: one right after the opening is a member, and so is an escaped one. */
function endOfClass(source: string, at: number): number {
  let i = at + 1;
  if (source[i] === '^') i++;
  if (source[i] === ']') i++;
  for (; i < source.length && source[i] !== ']'; i++) {
    if (source[i] === '\\') i++;
    else if (source.startsWith('[:', i)) {
      const end = source.indexOf(':]', i);
      if (end > 0) i = end + 1;
    }
  }
  return i;
}

/** Index of the last character of `(`, `(?:`, `(?P<name>`, or flags. */
function endOfGroupHead(source: string, at: number): number {
  const head = /^\(\?(?:P?<[^>]*>|[a-zA-Z-]*:?)/.exec(source.slice(at, at + 64));
  return head === null ? at : at + head[0].length - 1;
}
