import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { HeaderMutation, Route } from '../../../src/core/model/route.js';
import { type Resource, ROUTE } from '../../../src/core/resources.js';
import { decoders } from '../../support/decoders.js';
import { mergeMutations } from '../../../src/xds/resources/header-mutation.js';
import { refusal } from '../../support/refusal.js';

const add = (key: string, value: string, fields: Resource = {}): Resource => ({ header: { key, value }, ...fields });

/** One route with its three levels around it. */
function decode(levels: {
  config?: Resource;
  host?: Resource;
  route?: Resource;
  weights?: readonly Resource[];
}): Route {
  const route = levels.weights ? { weighted_clusters: { clusters: levels.weights } } : { cluster: 'c' };
  const config = decoders[ROUTE](
    {
      name: 'r',
      virtual_hosts: [{ domains: ['*'], routes: [{ match: { prefix: '/' }, route, ...levels.route }], ...levels.host }],
      ...levels.config,
    },
    'r',
  );
  const [found] = config.virtualHosts[0]?.routes ?? [];
  if (found === undefined) throw new Error('no route');
  return found;
}
const request = (...options: Resource[]): Resource => ({ request_headers_to_add: options });
const addedNames = (mutation: HeaderMutation | undefined) => {
  const values: string[] = [];
  for (let level = mutation; level !== undefined; level = level.next)
    values.push(...level.set.map(({ value }) => value));
  return values;
};

describe('header mutations', () => {
  test('each action has its own meaning, and appending is the default', () => {
    const actions = [undefined, 'ADD_IF_ABSENT', 'OVERWRITE_IF_EXISTS_OR_ADD', 'OVERWRITE_IF_EXISTS'];
    const route = decode({
      route: request(...actions.map((append_action) => add('X', 'v', append_action ? { append_action } : {}))),
    });
    expect(route.requestHeaders?.set.map(({ action }) => action)).toEqual([
      'append',
      'addIfAbsent',
      'overwrite',
      'overwriteIfExists',
    ]);
    expect(route.requestHeaders?.set[0]?.name).toBe('x');
  });

  test('the deprecated append is understood', () => {
    const route = decode({ route: request(add('x', '1', { append: { value: true } }), add('x', '2', { append: {} })) });
    expect(route.requestHeaders?.set.map(({ action }) => action)).toEqual(['append', 'overwrite']);
  });

  test('an empty value is kept only when asked for', () => {
    const route = decode({ route: request(add('a', ''), add('b', '', { keep_empty_value: true })) });
    expect(route.requestHeaders?.set).toEqual([{ name: 'b', value: '', action: 'append', keepEmpty: true }]);
  });

  test('a value is a format, in which %% is a percent sign; bytes are taken as they are', () => {
    const raw = { header: { key: 'b', raw_value: Buffer.from('%x%') } };
    expect(addedNames(decode({ route: request(add('a', '100%%'), raw) }).requestHeaders)).toEqual(['100%%', '%%x%%']);
  });

  test('request and response are told apart, and none is undefined', () => {
    const route = decode({ route: { response_headers_to_remove: ['Server'] } });
    expect(route.requestHeaders).toBeUndefined();
    expect(route.responseHeaders).toEqual({ remove: ['server'], set: [] });
  });
});

describe('levels', () => {
  const levels = {
    config: request(add('x', 'config')),
    host: request(add('x', 'host')),
    route: request(add('x', 'route')),
  };

  test('are evaluated from the most specific to the most general', () => {
    expect(addedNames(decode(levels).requestHeaders)).toEqual(['route', 'host', 'config']);
  });

  test('are evaluated the other way round with most_specific_header_mutations_wins', () => {
    const config = { ...levels.config, most_specific_header_mutations_wins: true };
    expect(addedNames(decode({ ...levels, config }).requestHeaders)).toEqual(['config', 'host', 'route']);
  });

  test('when a cluster has its own, all are with the clusters and none with the route', () => {
    const weights = [
      { name: 'a', weight: { value: 1 }, ...request(add('x', 'a')) },
      { name: 'b', weight: { value: 1 } },
    ];
    const { action, requestHeaders } = decode({ ...levels, weights });
    expect(requestHeaders).toBeUndefined();
    expect(action.kind === 'forward' && action.clusters.map((cluster) => addedNames(cluster.requestHeaders))).toEqual([
      ['a', 'route', 'host', 'config'],
      ['route', 'host', 'config'],
    ]);
  });

  test('merged, they do what they do one after the other', () => {
    const name = fc.constantFrom('a', 'b', 'c');
    const action = fc.constantFrom('append', 'addIfAbsent', 'overwrite', 'overwriteIfExists');
    const mutation = fc.record({
      remove: fc.array(name, { maxLength: 2 }),
      set: fc.array(fc.record({ name, value: fc.constantFrom('1', '2', '3'), action }), { maxLength: 3 }),
    });
    fc.assert(
      fc.property(
        fc.array(fc.option(mutation, { nil: undefined }), { maxLength: 4 }),
        fc.array(name),
        (steps, present) => {
          const start: Headers = new Map(present.map((key) => [key, ['0']]));
          const oneByOne = steps.reduce<Headers>((headers, step) => apply(step, headers), start);
          expect(apply(mergeMutations(steps), start)).toEqual(oneByOne);
        },
      ),
    );
  });
});

type Headers = ReadonlyMap<string, readonly string[]>;
function apply(mutation: HeaderMutation | undefined, headers: Headers): Map<string, readonly string[]> {
  const result = new Map(headers);
  for (const name of mutation?.remove ?? []) result.delete(name);
  for (const { name, value, action } of mutation?.set ?? []) {
    const present = result.get(name);
    if (action === 'append') result.set(name, [...(present ?? []), value]);
    else if (action === 'overwrite' || (action === 'addIfAbsent') === (present === undefined))
      result.set(name, [value]);
  }
  return mutation?.next === undefined ? result : apply(mutation.next, result);
}

describe('a header mutation is refused', () => {
  const option = (value: Resource) => () => decode({ route: request(value) });
  test.each<[string, () => unknown, string]>([
    [
      'for a pseudo-header',
      option(add(':path', '/')),
      'request_headers_to_add[0].header.key: must be a header name that may be changed',
    ],
    ['for host', option(add('Host', 'x')), 'request_headers_to_add[0].header.key'],
    ['for what is no header name', option(add('a b', 'x')), 'request_headers_to_add[0].header.key'],
    [
      'for a line break in the value',
      option(add('a', 'x\r\ny: z')),
      'request_headers_to_add[0].header.value: must be a header value',
    ],
    [
      'for a command that does not end',
      option(add('a', '%REQ(x)')),
      'request_headers_to_add[0].header.value: has no valid command at position 0',
    ],
    [
      'for a command that nobody knows',
      option(add('a', '%TIDE%')),
      'request_headers_to_add[0].header.value: %TIDE% is no command that is known',
    ],
    [
      'for a variable of this process',
      option(add('a', '%ENVIRONMENT(HOME)%')),
      'request_headers_to_add[0].header.value: %ENVIRONMENT(…)% is not supported',
    ],
    [
      'for both spellings of append',
      option(add('a', 'x', { append: {}, append_action: 'ADD_IF_ABSENT' })),
      'request_headers_to_add[0].append',
    ],
    [
      'for an unknown action',
      option(add('a', 'x', { append_action: 9 })),
      'request_headers_to_add[0].append_action: must be one of',
    ],
    [
      'for removing host',
      () => decode({ host: { request_headers_to_remove: ['host'] } }),
      'virtual_hosts[0].request_headers_to_remove[0]',
    ],
  ])('%s', (_, read, message) => {
    expect(refusal(read)).toContain(message);
  });
});
