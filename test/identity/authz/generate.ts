import type { Resource } from '../../../src/core/resources.js';

/** Whole numbers from 0, from a seed (mulberry32). */
export class Dice {
  #state: number;

  constructor(seed: number) {
    this.#state = seed;
  }

  below(count: number): number {
    this.#state = (this.#state + 0x6d2b79f5) | 0;
    let t = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return Math.floor((((t ^ (t >>> 14)) >>> 0) / 4_294_967_296) * count);
  }

  of<T>(list: readonly T[]): T {
    return list[this.below(list.length)] as T;
  }

  /** True once in so many times. */
  once(times: number): boolean {
    return this.below(times) === 0;
  }
}

/** What policies are generated from: of requests that will meet them. */
export interface Vocabulary {
  readonly paths: readonly string[];
  readonly hosts: readonly string[];
  readonly methods: readonly string[];
  readonly principals: readonly string[];
  /** Of headers, as policies write them; requests have them in lower case. */
  readonly names: readonly string[];
}

const VALUES = ['a', 'b', 'ab', 'A', '7'];

const text = (dice: Dice, values: readonly string[]): Resource => {
  const value = dice.of(values);
  const part = value.slice(0, 1 + dice.below(value.length));
  const ignore = dice.once(4) ? { ignore_case: true } : {};
  switch (dice.below(6)) {
    case 0:
      return part === '' ? { exact: value } : { prefix: part, ...ignore };
    case 1:
      return value === '' ? { exact: value } : { suffix: value.slice(-1 - dice.below(value.length)), ...ignore };
    case 2:
      return part === '' ? { exact: value } : { contains: part.slice(-2), ...ignore };
    case 3:
      return { safe_regex: { regex: dice.of(['.*', '[a-z/.]+', '.*[0-9]', 'a?b?', '/.*', '']) || '.*' } };
    default:
      return { exact: value, ...ignore };
  }
};

function header(dice: Dice, { paths, hosts, methods, names }: Vocabulary): Resource {
  const invert = dice.once(4) ? { invert_match: true } : {};
  switch (dice.below(8)) {
    case 0:
      return { name: ':path', string_match: text(dice, paths), ...invert };
    case 1:
      return { name: ':method', string_match: { exact: dice.of(methods) }, ...invert };
    case 2:
      return { name: dice.of([':authority', 'host']), string_match: text(dice, hosts), ...invert };
    case 3:
      return { name: dice.of(names), present_match: !dice.once(3), ...invert };
    case 4: {
      const start = dice.below(10);
      return { name: dice.of(names), range_match: { start, end: start + dice.below(6) }, ...invert };
    }
    default:
      return { name: dice.of(names), string_match: text(dice, VALUES), ...invert };
  }
}

const CIDRS = [
  { address_prefix: '127.0.0.0', prefix_len: { value: 8 } },
  { address_prefix: '127.0.0.1', prefix_len: { value: 32 } },
  { address_prefix: '10.0.0.0', prefix_len: { value: 8 } },
  { address_prefix: '0.0.0.0', prefix_len: { value: 0 } },
  { address_prefix: '::', prefix_len: { value: 0 } },
];

function condition(dice: Dice, words: Vocabulary, sort: 'rules' | 'ids', depth: number): Resource {
  const [and, or, not] = sort === 'rules' ? ['and_rules', 'or_rules', 'not_rule'] : ['and_ids', 'or_ids', 'not_id'];
  const inner = (): Resource => condition(dice, words, sort, depth - 1);
  if (depth > 0) {
    switch (dice.below(5)) {
      case 0:
        return { [and as string]: { [sort]: [inner(), inner()] } };
      case 1:
        return { [or as string]: { [sort]: [inner(), inner()] } };
      case 2:
        return { [not as string]: inner() };
    }
  }
  switch (dice.below(9)) {
    case 0:
      return { any: true };
    case 1:
    case 2:
      return { url_path: { path: text(dice, words.paths) } };
    case 3:
      return {
        metadata: {
          filter: 'none',
          path: [{ key: 'k' }],
          value: { present_match: true },
          ...(dice.once(2) && { invert: true }),
        },
      };
    case 4:
      return sort === 'rules'
        ? { requested_server_name: text(dice, ['', 'reviews.example']) }
        : authenticated(dice, words);
    case 5:
      return sort === 'rules'
        ? { destination_ip: dice.of(CIDRS) }
        : { [dice.of(['source_ip', 'direct_remote_ip', 'remote_ip'])]: dice.of(CIDRS) };
    case 6:
      return sort === 'rules' ? { destination_port: 1 + dice.below(5) } : authenticated(dice, words);
    default:
      return { header: header(dice, words) };
  }
}

const authenticated = (dice: Dice, { principals }: Vocabulary): Resource =>
  dice.once(4) ? { authenticated: {} } : { authenticated: { principal_name: text(dice, principals) } };

/** An RBAC with one to four policies; `extensions.filters.http.rbac.v3.RBAC`. */
export function generatedRbac(dice: Dice, words: Vocabulary): Resource {
  const policies = Object.fromEntries(
    Array.from({ length: 1 + dice.below(4) }, (_, i) => [
      `p${i}`,
      {
        permissions: Array.from({ length: 1 + dice.below(2) }, () => condition(dice, words, 'rules', 2)),
        principals: Array.from({ length: 1 + dice.below(2) }, () => condition(dice, words, 'ids', 2)),
      },
    ]),
  );
  return { rules: { ...(dice.once(2) && { action: 'DENY' }), policies } };
}

export interface GeneratedRequest {
  readonly method: string;
  readonly host: string;
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
}

export const generatedRequest = (dice: Dice, { paths, hosts, methods }: Vocabulary): GeneratedRequest => ({
  method: dice.of(methods),
  host: dice.of(hosts),
  path: dice.of(paths),
  headers: Object.fromEntries(['x-a', 'x-b', 'x-c'].flatMap((name) => (dice.once(2) ? [[name, dice.of(VALUES)]] : []))),
});
