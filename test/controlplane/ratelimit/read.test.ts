import { describe, expect, test } from 'vitest';
import { readLimits } from '../../../src/controlplane/ratelimit/read.js';
import { findLimit, type LimitTable } from '../../../src/controlplane/ratelimit/table.js';
import { formatProblem } from '../../../src/controlplane/yaml/problem.js';

const read = (...texts: string[]) => readLimits(texts.map((text, i) => ({ name: `limits-${i}.yaml`, text })));
const problemsOf = (...texts: string[]): string[] => read(...texts).problems.map(formatProblem);

function tableOf(...texts: string[]): LimitTable {
  const { table, problems } = read(...texts);
  expect(problems).toEqual([]);
  return table as LimitTable;
}

/** `key=value,key=value` to the rule that it finds. */
function rule(table: LimitTable, domain: string, text: string): string | undefined {
  const entries = text.split(',').map((it) => it.split('=') as [string, string]);
  return findLimit(table.get(domain) as never, entries)?.limit.rule;
}

/** The example of envoyproxy/ratelimit's README, in our words: nested keys, values and none. */
const MESSAGING = `
domain: messaging
descriptors:
  - key: message_type
    value: marketing
    descriptors:
      - key: to_number
        rate_limit: { unit: day, requests_per_unit: 5 }
  - key: to_number
    rate_limit: { unit: Day, requests_per_unit: 100 }
`;

describe('a descriptor of a request', () => {
  test('finds the limit whose keys and values are its own, in their order, and all of them', () => {
    const table = tableOf(MESSAGING);
    expect(rule(table, 'messaging', 'message_type=marketing,to_number=2061')).toBe(
      'messaging.message_type_marketing.to_number',
    );
    expect(rule(table, 'messaging', 'to_number=2061')).toBe('messaging.to_number');
    expect(rule(table, 'messaging', 'message_type=marketing')).toBeUndefined();
    expect(rule(table, 'messaging', 'message_type=news,to_number=2061')).toBeUndefined();
    expect(rule(table, 'messaging', 'to_number=2061,message_type=marketing')).toBeUndefined();
    expect(rule(table, 'messaging', 'to_number=2061,extra=1')).toBeUndefined();
  });

  test('finds its value before a wildcard, the first wildcard that fits, and then the key without a value', () => {
    const table = tableOf(`
domain: edge
descriptors:
  - { key: path, rate_limit: { unit: second, requests_per_unit: 1 } }
  - { key: path, value: "/a*", rate_limit: { unit: second, requests_per_unit: 2 } }
  - { key: path, value: "/ab*", rate_limit: { unit: second, requests_per_unit: 3 } }
  - { key: path, value: /abc, rate_limit: { unit: second, requests_per_unit: 4 } }
`);
    expect(rule(table, 'edge', 'path=/abc')).toBe('edge.path_/abc');
    expect(rule(table, 'edge', 'path=/abd')).toBe('edge.path_/a*');
    expect(rule(table, 'edge', 'path=/b')).toBe('edge.path');
  });

  test('does not look for another way where the nearest one has no end', () => {
    const table = tableOf(`
domain: edge
descriptors:
  - key: user
    value: ann
    descriptors:
      - { key: path, value: /a, rate_limit: { unit: second, requests_per_unit: 1 } }
  - key: user
    descriptors:
      - { key: path, rate_limit: { unit: second, requests_per_unit: 2 } }
`);
    expect(rule(table, 'edge', 'user=ann,path=/a')).toBe('edge.user_ann.path_/a');
    expect(rule(table, 'edge', 'user=ann,path=/b')).toBeUndefined();
    expect(rule(table, 'edge', 'user=bob,path=/b')).toBe('edge.user.path');
  });

  test('with keys that run together is not mistaken for another', () => {
    const table = tableOf(`
domain: edge
descriptors:
  - { key: a_b, value: c, rate_limit: { unit: second, requests_per_unit: 1 } }
  - { key: a, value: b_c, rate_limit: { unit: second, requests_per_unit: 2 } }
`);
    expect(findLimit(table.get('edge') as never, [['a_b', 'c']])?.limit.window?.limit.requests).toBe(1);
    expect(findLimit(table.get('edge') as never, [['a', 'b_c']])?.limit.window?.limit.requests).toBe(2);
  });

  test('counts by its own values, but together under a wildcard that shares its threshold', () => {
    const table = tableOf(`
domain: edge
descriptors:
  - key: file
    value: tmp*
    share_threshold: true
    descriptors:
      - { key: user, rate_limit: { unit: second, requests_per_unit: 1 } }
  - { key: file, value: "log*", rate_limit: { unit: second, requests_per_unit: 1 } }
`);
    const of = (entries: [string, string][]) => findLimit(table.get('edge') as never, entries)?.counted;
    expect(
      of([
        ['file', 'tmp1'],
        ['user', 'ann'],
      ]),
    ).toEqual([
      ['file', 'tmp*'],
      ['user', 'ann'],
    ]);
    expect(of([['file', 'log1']])).toEqual([['file', 'log1']]);
  });

  test('has a value as it is written, where YAML makes a number or a truth of it', () => {
    const table = tableOf(`
domain: edge
descriptors:
  - { key: code, value: 007, rate_limit: { unit: second, requests_per_unit: 1 } }
  - { key: code, value: 1.0, rate_limit: { unit: second, requests_per_unit: 1 } }
  - { key: code, value: true, rate_limit: { unit: second, requests_per_unit: 1 } }
`);
    for (const value of ['007', '1.0', 'true']) expect(rule(table, 'edge', `code=${value}`)).toBe(`edge.code_${value}`);
    expect(rule(table, 'edge', 'code=7')).toBeUndefined();
  });
});

test.each([
  ['second', 1, 1_000],
  ['MINUTE', 2, 60_000],
  ['Hour', 3, 3_600_000],
  ['day', 4, 86_400_000],
  ['month', 5, 30 * 86_400_000],
  ['year', 6, 365 * 86_400_000],
  ['week', 7, 7 * 86_400_000],
])('a unit of %s is a window of its length', (unit, number, perMs) => {
  const table = tableOf(
    `{ domain: d, descriptors: [{ key: k, rate_limit: { unit: ${unit}, requests_per_unit: 9 } }] }`,
  );
  expect(findLimit(table.get('d') as never, [['k', 'v']])?.limit.window).toEqual({
    unit: number,
    limit: { algorithm: 'fixed_window', requests: 9, perMs },
  });
});

test('all fields of envoyproxy/ratelimit are taken', () => {
  const table = tableOf(`
domain: edge
descriptors:
  - key: user
    value: ann
    shadow_mode: true
    detailed_metric: true
    value_to_metric: false
    quota_mode: false
    rate_limit:
      name: users
      unlimited: true
      replaces: [{ name: all }, { name: others }]
`);
  expect(findLimit(table.get('edge') as never, [['user', 'ann']])?.limit).toEqual({
    rule: 'edge.user_ann',
    window: undefined,
    name: 'users',
    replaces: ['all', 'others'],
    shadow: true,
  });
});

test('files of several domains make one table, and a file may have several documents', () => {
  expect([...tableOf('domain: a', 'domain: b\n---\ndomain: c').keys()]).toEqual(['a', 'b', 'c']);
});

describe('what is wrong is told with its place', () => {
  const one = (descriptor: string): string => `domain: edge\ndescriptors:\n  - ${descriptor}\n`;
  const limit = (fields: string): string => one(`{ key: k, rate_limit: { ${fields} } }`);
  test.each<[string, string, string]>([
    ['no domain', 'descriptors: []', 'limits-0.yaml:1:1 domain: is missing'],
    ['an empty domain', 'domain: ""', 'limits-0.yaml:1:9 domain: must not be empty'],
    ['no mapping', '- domain: edge', 'limits-0.yaml:1:1: must be a mapping of fields, got [{"domain":"edge"}]'],
    ['another field', 'domain: edge\ndescriptor: []', ':2:1 descriptor: unknown field; did you mean "descriptors"?'],
    ['no key', one('value: v'), ':3:5 descriptors[0].key: is missing'],
    ['an empty key', one('key: ""'), ':3:10 descriptors[0].key: must not be empty'],
    ['a value that is a list', one('{ key: k, value: [v] }'), 'descriptors[0].value: must be a string, got ["v"]'],
    ['no list', 'domain: edge\ndescriptors: { key: k }', ':2:14 descriptors: must be a list, got {"key":"k"}'],
    ['no unit', limit('requests_per_unit: 1'), 'rate_limit.unit: must be one of second, minute, hour'],
    ['another unit', limit('requests_per_unit: 1, unit: minuet'), 'got "minuet"; did you mean "minute"?'],
    ['no number', limit('unit: day'), 'requests_per_unit: must be a whole number from 0 to 4294967295, is missing'],
    ['less than none', limit('unit: day, requests_per_unit: -1'), 'from 0 to 4294967295, got -1'],
    ['a fraction', limit('unit: day, requests_per_unit: 1.5'), 'from 0 to 4294967295, got 1.5'],
    ['a unit of what is unlimited', limit('unlimited: true, unit: day'), 'rate_limit.unit: has no meaning where'],
    [
      'a limit that replaces itself',
      limit('unit: day, requests_per_unit: 1, name: n, replaces: [{ name: n }]'),
      'is the limit itself',
    ],
    [
      'a replacement without a name',
      limit('unit: day, requests_per_unit: 1, replaces: [{}]'),
      'replaces[0].name: is missing',
    ],
    ['a flag that is none', one('{ key: k, shadow_mode: "yes" }'), 'shadow_mode: must be true or false, got "yes"'],
    [
      'a shared threshold of one value',
      one('{ key: k, value: v, share_threshold: true }'),
      'is for values that end with "*"',
    ],
    [
      'a descriptor twice',
      `${one('{ key: k, value: v }')}  - { key: k, value: v }\n`,
      ':4:5 descriptors[1]: descriptor "edge.k_v" is there already',
    ],
    [
      'a wildcard twice',
      `${one('{ key: k, value: "v*" }')}  - { key: k, value: "v*" }\n`,
      'descriptor "edge.k_v*" is there already',
    ],
    ['a key twice', `${one('{ key: k }')}  - { key: k }\n`, 'descriptor "edge.k" is there already'],
    ['a domain twice', 'domain: edge\n---\ndomain: edge', ':3:9 domain: domain "edge" is there already: join the two'],
    ['no YAML', 'domain: [', 'is not YAML'],
  ])('%s', (_, text, message) => {
    const problems = problemsOf(text);
    expect(problems).toHaveLength(1);
    expect(problems[0]).toContain(message);
    expect(read(text).table).toBeUndefined();
  });

  test('all of it at once, of nested descriptors and of several files', () => {
    const nested = 'domain: a\ndescriptors:\n  - key: k\n    descriptors:\n      - { kee: v }\n';
    expect(problemsOf(nested, 'domain: 5\nx: 1')).toEqual([
      'limits-0.yaml:5:11 descriptors[0].descriptors[0].kee: unknown field; did you mean "key"?',
      'limits-0.yaml:5:9 descriptors[0].descriptors[0].key: is missing',
      'limits-1.yaml:2:1 x: unknown field; known: domain, descriptors',
    ]);
  });

  test('descriptors without end', () => {
    let text = '{ key: k }';
    for (let i = 0; i < 40; i++) text = `{ key: k, descriptors: [${text}] }`;
    expect(problemsOf(`{ domain: d, descriptors: [${text}] }`)).toEqual([
      expect.stringContaining('is nested too deeply: a descriptor has at most 32 entries'),
    ]);
  });
});
