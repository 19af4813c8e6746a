import type { Resource } from '../../../src/core/resources.js';
import type { Chance } from './generate.js';

/** Values that requests and matchers draw from, so that they meet often enough. */
export const VALUES = ['alpha', 'Alpha', 'alphabet', 'beta', '42', '-7', '+5', 'a b', 'alpha,beta'] as const;
export const PATHS = [
  '/',
  '/a',
  '/a/',
  '/a/b',
  '/a/b/c',
  '/A/B',
  '/ab',
  '/shop',
  '/shop/',
  '/shop/12',
  '/Shop/12',
  '/shop/x/item',
  '/shopping',
  '/a%2Fb',
  '//a',
  '/a//b',
  '/a/../b',
  '/a;v=1/b',
] as const;
export const QUERIES = ['', '', '', '?q=1', '?q=one&q=two', '?q', '?q=', '?other=1&q=One', '?Q=1', '?q=a%20b', '?'];
export const METHODS = ['GET', 'GET', 'POST', 'PUT', 'DELETE', 'HEAD', 'PATCH'] as const;

/** `route.v3.RouteMatch`, most of them not too narrow. */
export function routeMatch(chance: Chance): Resource {
  const path = pathMatch(chance);
  const headers = chance.some(0, 2, () => headerMatch(chance)).slice(0, chance.int(3));
  return {
    ...path,
    ...(path['safe_regex'] === undefined ? chance.maybe(5, () => ({ case_sensitive: { value: false } })) : {}),
    ...(headers.length > 0 ? { headers } : {}),
    ...chance.maybe(6, () => ({ query_parameters: chance.some(1, 2, () => queryMatch(chance)) })),
    ...chance.maybe(8, () => ({
      runtime_fraction: { default_value: { numerator: chance.pick([0, 100, 1_000]), denominator: 'HUNDRED' } },
    })),
  };
}

function pathMatch(chance: Chance): Resource {
  switch (chance.int(4)) {
    case 0:
      return { prefix: chance.pick(['/', '/', '/a', '/a/', '/a/b', '/A', '/shop', '/shop/', '/a%2f', '//']) };
    case 1:
      return { path: chance.pick(PATHS) };
    case 2:
      return { path_separated_prefix: chance.pick(['/a', '/a/b', '/shop', '/A', '/shop/x']) };
    default:
      return {
        safe_regex: { regex: chance.pick(['/a.*', '/[a-z]+/[0-9]+', '/(?i)a/b', '/shop/([^/]+)/item', '.*b', '/.*']) },
      };
  }
}

const REGEXES = ['al.*', '[0-9]+', '.*', '.+,.+', '(?i)ALPHA', 'alpha|beta'] as const;

function stringMatch(chance: Chance): Resource {
  const value = chance.pick(VALUES);
  const kind = chance.pick([
    { exact: value },
    { prefix: value.slice(0, 2) },
    { suffix: value.slice(-2) },
    { contains: value.slice(1, 3) || 'l' },
    { safe_regex: { regex: chance.pick(REGEXES) } },
  ]);
  return 'safe_regex' in kind ? kind : { ...kind, ...chance.maybe(3, () => ({ ignore_case: true })) };
}

function headerMatch(chance: Chance): Resource {
  if (chance.once(4)) return methodMatch(chance);
  const name = chance.pick(['x-a', 'x-a', 'x-b', 'X-B', 'x-absent', ':path', ':authority', 'host', ':scheme']);
  const specifier = chance.pick([
    () => ({ string_match: stringMatch(chance) }),
    () => ({ string_match: stringMatch(chance) }),
    () => ({ range_match: { start: chance.pick([-10, 0, 40]), end: chance.pick([42, 43, 100]) } }),
    () => ({ present_match: true }),
    () => ({ present_match: false }),
  ])();
  return {
    name,
    ...specifier,
    ...chance.maybe(4, () => ({ invert_match: true })),
    ...chance.maybe(4, () => ({ treat_missing_header_as_empty: true })),
  };
}

function methodMatch(chance: Chance): Resource {
  const string_match = chance.pick([
    { exact: 'GET' },
    { exact: 'POST' },
    { safe_regex: { regex: 'GET|HEAD' } },
    { prefix: 'P' },
  ]);
  return { name: ':method', string_match, ...chance.maybe(5, () => ({ invert_match: true })) };
}

function queryMatch(chance: Chance): Resource {
  return {
    name: chance.pick(['q', 'q', 'other']),
    ...chance.pick([
      () => ({ present_match: true }),
      () => ({ present_match: false }),
      () => ({ string_match: { exact: chance.pick(['1', 'one', '', 'a b', 'a%20b']) } }),
      () => ({ string_match: { prefix: 'on', ignore_case: chance.once(2) } }),
      () => ({ string_match: { safe_regex: { regex: '[0-9]*' } } }),
    ])(),
  };
}
