import { nearest, shown } from '../../core/decode.js';
import { parseYaml, type RawDocument } from '../yaml/parse.js';
import { type Path, pathText, type Problem, Problems } from '../yaml/problem.js';
import type { SourceFile } from '../yaml/read.js';
import {
  type DescriptorLimit,
  type DescriptorNode,
  type KeyNode,
  type LimitTable,
  type WildcardNode,
  windowOf,
} from './table.js';

/** `RateLimitResponse.RateLimit.Unit`. */
const UNITS = new Map([
  ['second', 1],
  ['minute', 2],
  ['hour', 3],
  ['day', 4],
  ['month', 5],
  ['year', 6],
  ['week', 7],
]);
const UINT32_MAX = 4_294_967_295;
/** Entries of one descriptor that make sense; deeper is a mistake. */
const MAX_DEPTH = 32;

const DOMAIN_FIELDS = ['domain', 'descriptors'];
const DESCRIPTOR_FIELDS = [
  'key',
  'value',
  'rate_limit',
  'descriptors',
  'shadow_mode',
  'quota_mode',
  'detailed_metric',
  'value_to_metric',
  'share_threshold',
];
const LIMIT_FIELDS = ['requests_per_unit', 'unit', 'unlimited', 'name', 'replaces'];

export interface LimitsResult {
  /** Undefined: something is wrong. */
  readonly table: LimitTable | undefined;
  readonly problems: readonly Problem[];
}

/**
 * Reads the files of envoyproxy/ratelimit as they are: one domain in each document. `detailed_metric` and `value_to_metric` are accepted and change
 * nothing: metrics are by descriptor of the configuration. `quota_mode` lets requests through, as `shadow_mode` does.
 */
export function readLimits(files: readonly SourceFile[], before: readonly Problem[] = []): LimitsResult {
  const problems = new Problems();
  for (const problem of before) problems.add(problem);
  const table = new Map<string, DescriptorNode>();
  for (const file of files) {
    const documents = parseYaml(file.name, file.text, problems);
    for (const document of documents) new Reader(document, problems).domain(table);
  }
  return { table: problems.list.length === 0 ? table : undefined, problems: problems.list };
}

/** Reads one document. What is wrong is told with its place, all of it; what comes out then is not used. */
class Reader {
  constructor(
    private readonly document: RawDocument,
    private readonly problems: Problems,
  ) {}

  domain(table: Map<string, DescriptorNode>): void {
    const fields = this.#record(this.document.value, [], DOMAIN_FIELDS);
    if (fields === undefined) return;
    const domain = this.#text(fields['domain'], ['domain']);
    if (domain === undefined) return;
    if (domain === '') this.#report(['domain'], 'must not be empty');
    if (table.has(domain)) this.#report(['domain'], `domain ${shown(domain)} is there already: join the two`);
    table.set(domain, { limit: undefined, children: this.#children(fields['descriptors'], ['descriptors'], domain) });
  }

  #children(given: unknown, path: Path, parent: string): ReadonlyMap<string, KeyNode> {
    const keys = new Map<
      string,
      { values: Map<string, DescriptorNode>; wildcards: WildcardNode[]; any?: DescriptorNode }
    >();
    for (const [i, item] of this.#list(given, path).entries()) {
      const at = [...path, i];
      const fields = this.#record(item, at, DESCRIPTOR_FIELDS);
      if (fields === undefined) continue;
      const key = this.#text(fields['key'], [...at, 'key']);
      if (key === undefined) continue;
      if (key === '') this.#report([...at, 'key'], 'must not be empty');
      // An empty value is none, as one that is not there.
      const value = fields['value'] === undefined ? '' : (this.#text(fields['value'], [...at, 'value']) ?? '');
      const rule = `${parent}.${value === '' ? key : `${key}_${value}`}`;
      const node = this.#descriptor(fields, at, rule);
      let known = keys.get(key);
      if (known === undefined) {
        known = { values: new Map(), wildcards: [] };
        keys.set(key, known);
      }
      const wildcard = value.endsWith('*');
      const shared = this.#flag(fields['share_threshold'], [...at, 'share_threshold']);
      if (shared && !wildcard)
        this.#report([...at, 'share_threshold'], 'is for values that end with "*": others are one count as they are');
      const prefix = value.slice(0, -1);
      const twice = wildcard
        ? known.wildcards.some((it) => it.prefix === prefix)
        : value === ''
          ? known.any !== undefined
          : known.values.has(value);
      if (twice) this.#report(at, `descriptor ${shown(rule)} is there already`);
      if (wildcard) known.wildcards.push({ prefix, shared, node });
      else if (value === '') known.any = node;
      else known.values.set(value, node);
    }
    return new Map([...keys].map(([key, { any, ...rest }]) => [key, { ...rest, any }]));
  }

  #descriptor(fields: Record<string, unknown>, at: Path, rule: string): DescriptorNode {
    const shadow = this.#flag(fields['shadow_mode'], [...at, 'shadow_mode']);
    const quota = this.#flag(fields['quota_mode'], [...at, 'quota_mode']);
    this.#flag(fields['detailed_metric'], [...at, 'detailed_metric']);
    this.#flag(fields['value_to_metric'], [...at, 'value_to_metric']);
    const limit = this.#limit(fields['rate_limit'], [...at, 'rate_limit'], rule, shadow || quota);
    if (at.length > 2 * MAX_DEPTH) {
      this.#report(at, `is nested too deeply: a descriptor has at most ${MAX_DEPTH} entries`);
      return { limit, children: new Map() };
    }
    return { limit, children: this.#children(fields['descriptors'], [...at, 'descriptors'], rule) };
  }

  #limit(given: unknown, at: Path, rule: string, shadow: boolean): DescriptorLimit | undefined {
    if (given === undefined || given === null) return undefined;
    const fields = this.#record(given, at, LIMIT_FIELDS);
    if (fields === undefined) return undefined;
    const name = fields['name'] === undefined ? '' : (this.#text(fields['name'], [...at, 'name']) ?? '');
    const replaces = this.#list(fields['replaces'], [...at, 'replaces']).flatMap((item, i) => {
      const path = [...at, 'replaces', i];
      const replaced = this.#text(this.#record(item, path, ['name'])?.['name'], [...path, 'name']);
      if (replaced === '') this.#report([...path, 'name'], 'must not be empty');
      if (replaced !== undefined && replaced === name) this.#report([...path, 'name'], 'is the limit itself');
      return replaced ?? [];
    });
    const window = this.#window(fields, at);
    return { rule, window, name, replaces, shadow };
  }

  #window(fields: Record<string, unknown>, at: Path): DescriptorLimit['window'] {
    const { unit: givenUnit, requests_per_unit: requests } = fields;
    if (this.#flag(fields['unlimited'], [...at, 'unlimited'])) {
      if (givenUnit !== undefined)
        this.#report([...at, 'unit'], 'has no meaning where the limit is unlimited: remove it');
      return undefined;
    }
    if (typeof requests !== 'number' || !Number.isInteger(requests) || requests < 0 || requests > UINT32_MAX) {
      const got = requests === undefined ? 'is missing' : `got ${shown(requests)}`;
      this.#report([...at, 'requests_per_unit'], `must be a whole number from 0 to ${UINT32_MAX}, ${got}`);
      return undefined;
    }
    const unit = typeof givenUnit === 'string' ? UNITS.get(givenUnit.toLowerCase()) : undefined;
    if (unit === undefined) {
      const near = typeof givenUnit === 'string' ? nearest(givenUnit, [...UNITS.keys()]) : undefined;
      const got = givenUnit === undefined ? 'is missing' : `got ${shown(givenUnit)}`;
      const hint = near === undefined ? '' : `; did you mean "${near}"?`;
      this.#report([...at, 'unit'], `must be one of ${[...UNITS.keys()].join(', ')}, ${got}${hint}`);
      return undefined;
    }
    return windowOf(requests, unit);
  }

  #record(given: unknown, path: Path, known: readonly string[]): Record<string, unknown> | undefined {
    if (typeof given !== 'object' || given === null || Array.isArray(given)) {
      this.#report(path, given === undefined ? 'is missing' : `must be a mapping of fields, got ${shown(given)}`);
      return undefined;
    }
    for (const key of Object.keys(given)) {
      if (known.includes(key)) continue;
      const near = nearest(key, known);
      const hint = near === undefined ? `known: ${known.join(', ')}` : `did you mean "${near}"?`;
      this.#add([...path, key], `unknown field; ${hint}`, this.document.locateKey);
    }
    return given as Record<string, unknown>;
  }

  /** A list that is not there is empty. */
  #list(given: unknown, path: Path): readonly unknown[] {
    if (given === undefined || given === null) return [];
    if (Array.isArray(given)) return given;
    this.#report(path, `must be a list, got ${shown(given)}`);
    return [];
  }

  /** What YAML takes for a number or a truth is the text that is written: `value: 007` is "007". */
  #text(given: unknown, path: Path): string | undefined {
    if (typeof given === 'string') return given;
    const written = typeof given === 'number' || typeof given === 'boolean' ? this.document.written(path) : undefined;
    if (written === undefined)
      this.#report(path, given === undefined ? 'is missing' : `must be a string, got ${shown(given)}`);
    return written;
  }

  #flag(given: unknown, path: Path): boolean {
    if (given !== undefined && typeof given !== 'boolean')
      this.#report(path, `must be true or false, got ${shown(given)}`);
    return given === true;
  }

  #report(path: Path, message: string): void {
    this.#add(path, message, this.document.locate);
  }

  #add(path: Path, message: string, locate: RawDocument['locate']): void {
    this.problems.add({ ...locate(path), resource: '', path: pathText(path), message });
  }
}
