/** Texts of which at least one is in everything that an expression matches. */
export type AnyOf = readonly string[];

export interface RequiredText {
  /** What everything that matches begins with; '' when there is nothing to be seen. Never folded. */
  readonly prefix: string;
  /** Each must hold. Empty when nothing is known. */
  readonly all: readonly AnyOf[];
  /** The texts are in lower case, and are to be sought in text in lower case. */
  readonly ignoreCase: boolean;
}

/** More alternatives than this are no help: they would have to be sought one by one. */
const MAX_ALTERNATIVES = 16;
const UNKNOWN: RequiredText = { prefix: '', all: [], ignoreCase: false };

/**
 * What a text must hold to be matched as a whole by an expression (RE2 syntax): RE2's own `prefilter` idea, by which an expression is left out where it
 * cannot match. It may know less than there is to know, never more: what it does not understand, it says nothing of.
 */
export function requiredText(source: string): RequiredText {
  const flags = /^\(\?([a-zA-Z]+)\)/.exec(source);
  const ignoreCase = flags?.[1]?.includes('i') ?? false;
  const reader = new Reader(source, flags?.[0].length ?? 0, ignoreCase);
  const known = reader.alternatives();
  if (reader.lost || !reader.atEnd) return UNKNOWN;
  return { prefix: ignoreCase ? '' : known.prefix, all: known.all, ignoreCase };
}

/** What is known of a part of an expression. */
interface Known {
  /** The one text that it stands for; undefined: there may be others. */
  readonly exact: string | undefined;
  readonly prefix: string;
  readonly all: readonly AnyOf[];
}

const ANYTHING: Known = { exact: undefined, prefix: '', all: [] };
const literal = (text: string): Known => ({ exact: text, prefix: text, all: text === '' ? [] : [[text]] });
/** Of an assertion: what stands on its two sides stands together. */
const NOTHING = literal('');

/** Parts one after the other, as far as they have been read. */
class Sequence {
  #prefix: string | undefined;
  #all: AnyOf[] = [];
  /** Text that stands together, up to here. */
  #run = '';

  add(part: Known): void {
    if (part.exact !== undefined) {
      this.#run += part.exact;
      return;
    }
    const run = this.#run;
    const atStart = this.#prefix === undefined;
    this.break();
    if (atStart) this.#prefix = run + part.prefix;
    this.#all.push(...part.all);
  }

  /** What follows does not stand right after what came before. */
  break(): void {
    this.#prefix ??= this.#run;
    if (this.#run !== '') this.#all.push([this.#run]);
    this.#run = '';
  }

  get known(): Known {
    if (this.#prefix === undefined) return literal(this.#run);
    this.break();
    return { exact: undefined, prefix: this.#prefix, all: this.#all };
  }
}

class Reader {
  /** Something stands there that is not understood: nothing that was read holds. */
  lost = false;
  #at: number;

  constructor(
    private readonly source: string,
    start: number,
    private readonly ignoreCase: boolean,
  ) {
    this.#at = start;
  }

  get atEnd(): boolean {
    return this.#at >= this.source.length;
  }

  /** Up to the parenthesis that closes, or the end. */
  alternatives(): Known {
    const branches = [this.#sequence()];
    while (!this.lost && this.#take('|')) branches.push(this.#sequence());
    return branches.length === 1 ? (branches[0] as Known) : eitherOf(branches);
  }

  #sequence(): Known {
    const sequence = new Sequence();
    while (!this.lost && !this.atEnd && this.#next !== '|' && this.#next !== ')') {
      const part = this.#part();
      const count = this.#quantifier();
      if (count === undefined) sequence.add(part);
      else {
        // Once at least: what it requires is required, but what stands beside it need not be beside its text.
        sequence.break();
        if (count > 0) sequence.add(part);
        sequence.break();
      }
    }
    return sequence.known;
  }

  /** The least number of times that the part before it stands there; undefined when nothing is said: once. */
  #quantifier(): number | undefined {
    let least: number | undefined;
    for (;;) {
      const match = /^(?:([*+?])|\{(\d+)(?:,\d*)?\})\??/.exec(this.source.slice(this.#at, this.#at + 24));
      if (match === null) return least;
      this.#at += match[0].length;
      const own = match[1] === undefined ? Number(match[2]) : match[1] === '+' ? 1 : 0;
      least = Math.min(least ?? own, own);
    }
  }

  #part(): Known {
    const char = this.#next;
    if (char === '\\') return this.#escape();
    this.#at++;
    switch (char) {
      case '(':
        return this.#group();
      case '[':
        return this.#class();
      case '.':
        return ANYTHING;
      case '^':
      case '$':
        return NOTHING;
      default:
        return this.#character(char);
    }
  }

  #character(char: string): Known {
    if (!this.ignoreCase) return /[\ud800-\udfff]/.test(char) ? ANYTHING : literal(char);
    // Of the characters of ASCII only these two have a third form: the Kelvin sign and the long s.
    return /[^\x20-\x7e]|[kKsS]/.test(char) ? ANYTHING : literal(char.toLowerCase());
  }

  #group(): Known {
    const head = /^\?(?:P?<\w+>|:)/.exec(this.source.slice(this.#at, this.#at + 72));
    // Flags within an expression change what the rest of it means.
    if (head === null && this.#next === '?') return this.#lose();
    this.#at += head?.[0].length ?? 0;
    const known = this.alternatives();
    return this.#take(')') ? known : this.#lose();
  }

  /** `[.]` is a character; of all others nothing is known. */
  #class(): Known {
    const only = /^([^\\[\]^])\]/.exec(this.source.slice(this.#at, this.#at + 2));
    if (only !== null) {
      this.#at += 2;
      return this.#character(only[1] as string);
    }
    const rest = /^\^?\]?(?:\\[^Q]|\[:\^?\w+:\]|[^\\\]])*\]/.exec(this.source.slice(this.#at));
    if (rest === null) return this.#lose();
    this.#at += rest[0].length;
    return ANYTHING;
  }

  #escape(): Known {
    const letter = this.source.charAt(this.#at + 1);
    this.#at += 2;
    if (/^[!-/:-@[-`{-~]$/.test(letter)) return this.#character(letter);
    if (/^[bBAz]$/.test(letter)) return NOTHING;
    // Code points, Unicode classes, `\Q…\E`: rare in paths.
    return /^[dDwWsSntrfva]$/.test(letter) ? ANYTHING : this.#lose();
  }

  #lose(): Known {
    this.lost = true;
    return ANYTHING;
  }

  #take(char: string): boolean {
    if (this.#next !== char) return false;
    this.#at++;
    return true;
  }

  get #next(): string {
    return this.source.charAt(this.#at);
  }
}

/** One of the branches holds: of each the longest text that it requires is sought. */
function eitherOf(branches: readonly Known[]): Known {
  const texts = new Set<string>();
  for (const { all } of branches) {
    const best = longest(all);
    if (best === undefined) return ANYTHING;
    for (const text of best) texts.add(text);
  }
  return texts.size > MAX_ALTERNATIVES ? ANYTHING : { exact: undefined, prefix: '', all: [[...texts]] };
}

const shortest = (texts: AnyOf): number => Math.min(...texts.map(({ length }) => length));

const longest = (all: readonly AnyOf[]): AnyOf | undefined =>
  all.reduce<AnyOf | undefined>(
    (best, texts) => (best === undefined || shortest(texts) > shortest(best) ? texts : best),
    undefined,
  );
