import type { Random } from '../../../../src/core/random.js';
import { type Resource, TYPE_PREFIX } from '../../../../src/core/resources.js';

/** Random choices and small messages, for the generators of valid resources. */
export class Make {
  constructor(readonly random: Random) {}

  one<T>(...options: readonly [T, ...T[]]): T {
    return options[this.random.int(options.length)] as T;
  }

  /** One of several ways to make something, so that only the chosen one is made. */
  any<T>(...ways: readonly [() => T, ...(() => T)[]]): T {
    return this.one(...ways)();
  }

  /** What `make` makes in a `share` of cases, else undefined: a field that is not set. */
  maybe<T>(share: number, make: () => T): T | undefined {
    return this.random.next() < share ? make() : undefined;
  }

  list<T>(min: number, max: number, make: (index: number) => T): T[] {
    return Array.from({ length: min + this.random.int(max - min + 1) }, (_, i) => make(i));
  }

  int(min: number, max: number): number {
    return min + this.random.int(max - min + 1);
  }

  flag(): boolean {
    return this.random.int(2) === 1;
  }

  bool(): Resource {
    return { value: this.flag() };
  }

  uint32(min = 0, max = 4_294_967_295): Resource {
    return { value: this.random.int(4) === 0 ? this.one(min, max) : this.int(min, Math.min(max, 1_000)) };
  }

  duration(min = 0): Resource {
    return { seconds: this.int(min, 90), nanos: this.one(0, 1, 500_000_000, 999_999_999) };
  }

  name(): string {
    return this.one('a', 'b', 'reviews', 'ratings.default', 'x-1', 'outbound|80||a.b.svc', 'é', '漢字');
  }

  header(): string {
    return this.one('x-env', 'X-User', 'accept', 'x-bin', 'content-type', 'x_1');
  }

  host(): string {
    return this.one('example.com', 'a.b', 'reviews:8080', '[::1]:80');
  }

  path(): string {
    return this.one('/', '/a', '/a/b', '/svc.Service/Method', '/é');
  }

  ip(): string {
    return this.random.int(5) === 0
      ? `fd00::${(1 + this.random.int(65_534)).toString(16)}:${(1 + this.random.int(65_534)).toString(16)}`
      : `10.${this.random.int(256)}.${this.random.int(256)}.${this.random.int(256)}`;
  }

  bytes(max = 12): Uint8Array {
    return Uint8Array.from({ length: this.random.int(max + 1) }, () => this.random.int(256));
  }

  /** An extension of a type that nobody knows. */
  unknown(): Resource {
    return any(this.one('x.Y', 'future.Thing'), { value: this.bytes() });
  }

  struct(depth = 2): Resource {
    const value = (): Resource =>
      this.any<Resource>(
        () => ({ string_value: this.name() }),
        () => ({ number_value: this.int(-5, 5_000) }),
        () => ({ bool_value: this.flag() }),
        () => ({ null_value: 'NULL_VALUE' }),
        () => (depth > 0 ? { struct_value: this.struct(depth - 1) } : { list_value: {} }),
      );
    return { fields: Object.fromEntries(this.list(0, 3, (i) => [this.one('version', 'canary', `k${i}`), value()])) };
  }

  /** `type.v3.Percent`. */
  percent(): Resource {
    return { value: this.one(0, 0.5, 50, 100) };
  }

  /** `core.v3.Metadata` that says which endpoints are meant. */
  labels(): Resource {
    return {
      filter_metadata: {
        'envoy.lb': { fields: { version: { string_value: this.one('v1', 'v2') } } },
        other: this.struct(),
      },
    };
  }

  fraction(): Resource {
    return {
      numerator: this.int(0, 150),
      denominator: this.maybe(0.7, () => this.one('HUNDRED', 'TEN_THOUSAND', 'MILLION')),
    };
  }

  regex(): Resource {
    const regex = this.one('/a/.*', '.*b', 'a+', '^/(x|y)/[0-9]+$', '(?i)abc', '.*', '\\w+');
    return { regex, google_re2: this.maybe(0.3, () => ({})) };
  }

  rewrite(): Resource {
    return {
      pattern: { regex: this.one('^/(a)/(.*)', '(b+)', '(x)?y') },
      substitution: this.one('', '/\\1', '\\0\\\\'),
    };
  }

  string(): Resource {
    const ignore_case = this.maybe(0.3, () => this.flag());
    return this.any<Resource>(
      () => ({ exact: this.name(), ignore_case }),
      () => ({ prefix: 'a', ignore_case }),
      () => ({ suffix: 'z', ignore_case }),
      () => ({ contains: 'b', ignore_case }),
      () => ({ safe_regex: this.regex(), ignore_case }),
    );
  }

  headerMatcher(): Resource {
    const specifier = this.any<Resource>(
      () => ({ exact_match: this.name() }),
      () => ({ safe_regex_match: this.regex() }),
      () => ({ range_match: { start: this.int(-9, 9), end: this.int(-9, 9) } }),
      () => ({ present_match: this.flag() }),
      () => ({ prefix_match: 'a' }),
      () => ({ suffix_match: 'b' }),
      () => ({ contains_match: 'c' }),
      () => ({ string_match: this.string() }),
    );
    return {
      name: this.random.int(4) === 0 ? this.one(':method', ':path', ':authority') : this.header(),
      ...specifier,
      invert_match: this.maybe(0.3, () => this.flag()),
      treat_missing_header_as_empty: this.maybe(0.2, () => this.flag()),
    };
  }

  /** Header changes of one level of a route configuration. */
  headerChanges(): Resource {
    const changes: Record<string, unknown> = {};
    for (const direction of ['request', 'response']) {
      changes[`${direction}_headers_to_add`] = this.maybe(0.2, () => this.list(1, 2, () => this.headerToAdd()));
      changes[`${direction}_headers_to_remove`] = this.maybe(0.1, () => [this.header()]);
    }
    return changes;
  }

  headerToAdd(): Resource {
    const header = this.any<Resource>(
      () => ({ key: this.header(), value: this.one('v', '100%%', '', '%REQ(x-user?:path):9%', '%PROTOCOL%') }),
      () => ({ key: this.header(), raw_value: Uint8Array.of(65, 66) }),
    );
    const action = this.any<Resource>(
      () => ({}),
      () => ({ append: this.bool() }),
      () => ({
        append_action: this.one(
          'APPEND_IF_EXISTS_OR_ADD',
          'ADD_IF_ABSENT',
          'OVERWRITE_IF_EXISTS_OR_ADD',
          'OVERWRITE_IF_EXISTS',
        ),
      }),
    );
    return { header, ...action, keep_empty_value: this.maybe(0.3, () => this.flag()) };
  }
}

export function any(type: string, fields: Resource = {}): Resource {
  return { '@type': `${TYPE_PREFIX}${type}`, ...fields };
}
