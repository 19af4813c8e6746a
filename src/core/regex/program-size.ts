/**
 * About how many instructions an expression in RE2's syntax compiles to, told from its text: so that one of a few bytes that would become
 * millions of instructions (`a{1000}` a hundred times) is never compiled. Repetition multiplies what it repeats, and nests. Of what RE2
 * shortens only one thing is known here: single characters between bars are one class.
 */
export function estimatedProgramSize(source: string): number {
  const groups: Group[] = [new Group(0)];
  let last = NOTHING;
  const top = (): Group => groups.at(-1) as Group;
  const piece = (next: Piece): void => {
    top().add(last);
    last = next;
  };
  const close = (): void => {
    top().add(last);
    last = (groups.pop() as Group).piece;
  };
  for (let i = 0; i < source.length; i++) {
    const char = source[i] as string;
    if (char === '\\') i = endOfEscape(source, i, piece);
    else if (char === '[') {
      piece(CHARACTER);
      i = endOfClass(source, i);
    } else if (char === '(') {
      piece(NOTHING);
      const end = endOfGroupHead(source, i);
      groups.push(new Group(end === i || source[end] === '>' ? CAPTURE : 0));
      i = end;
    } else if (char === ')' && groups.length > 1) close();
    else if (char === '|') {
      top().add(last);
      last = NOTHING;
      top().branch();
    } else if (char === '{') {
      const [text = '', least = '', most = ''] = REPETITION.exec(source.slice(i, i + 16)) ?? [];
      if (text === '') piece(CHARACTER);
      else {
        const times = Math.max(1, Number(least), Number(most));
        last = times === 1 ? last : { size: last.size * times, isCharacter: false };
        i += text.length - 1;
      }
    } else if ('*+?'.includes(char)) last = { size: last.size + 1, isCharacter: false };
    else piece('^$'.includes(char) ? ASSERTION : CHARACTER);
  }
  while (groups.length > 1) close();
  top().add(last);
  return top().piece.size;
}

interface Piece {
  readonly size: number;
  /** One character or class and nothing else. */
  readonly isCharacter: boolean;
}

const NOTHING: Piece = { size: 0, isCharacter: false };
const CHARACTER: Piece = { size: 1, isCharacter: true };
const ASSERTION: Piece = { size: 1, isCharacter: false };
/** Instructions that note where a group begins and ends. */
const CAPTURE = 2;

const REPETITION = /^\{(\d+)(?:,(\d*))?\}/;

/** What stands between two parentheses, as far as it was read. */
class Group {
  /** Branches that are no single characters. */
  #branches = 0;
  #hasCharacter = false;
  #branch = 0;
  #pieces = 0;
  #isCharacter = false;

  constructor(private readonly capture: number) {}

  add({ size, isCharacter }: Piece): void {
    if (size === 0) return;
    this.#branch += size;
    this.#isCharacter = ++this.#pieces === 1 && isCharacter;
  }

  branch(): void {
    if (this.#isCharacter) this.#hasCharacter = true;
    else this.#branches += this.#branch;
    this.#branch = 0;
    this.#pieces = 0;
    this.#isCharacter = false;
  }

  /** To be asked once, at the end. */
  get piece(): Piece {
    this.branch();
    const isCharacter = this.#hasCharacter && this.#branches + this.capture === 0;
    return { size: this.#branches + (this.#hasCharacter ? 1 : 0) + this.capture, isCharacter };
  }
}

/** Index of the last character of an escape. `\Q…\E` is text. */
function endOfEscape(source: string, at: number, piece: (next: Piece) => void): number {
  const kind = source[at + 1];
  if (kind === undefined) return at;
  if (kind === 'Q') {
    const end = source.indexOf('\\E', at + 2);
    const text = source.slice(at + 2, end < 0 ? undefined : end);
    for (const _ of text) piece(CHARACTER);
    return end < 0 ? source.length : end + 1;
  }
  piece('bBAzZ'.includes(kind) ? ASSERTION : CHARACTER);
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
