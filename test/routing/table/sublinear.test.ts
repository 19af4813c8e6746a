import { describe, expect, test } from 'vitest';
import { headerFields } from '../../../src/core/headers.js';
import type { HeaderMatch, QueryMatch, RouteMatch, SafeRegex, StringMatch } from '../../../src/core/model/match.js';
import { seededRandom } from '../../../src/core/random.js';
import { safeRegex } from '../../../src/core/regex/safe-regex.js';
import type { RequestView } from '../../../src/routing/request.js';
import { RouteTable } from '../../../src/routing/table/table.js';
import { aMatch } from '../../support/targets.js';

/** Counts what a look-up does: expressions tried, and looks at the request. */
class Effort {
  tried = 0;
  looks = 0;

  regex(source: string): { readonly kind: 'regex'; readonly regex: SafeRegex } {
    const { matches } = safeRegex(source);
    const counting = (text: string): boolean => {
      this.tried++;
      return matches(text);
    };
    return { kind: 'regex', regex: { source, matches: counting, replaceAll: (text) => text } };
  }

  request(path: string, headers: Record<string, string | string[]> = {}, principal?: string): RequestView {
    const view = {
      method: 'GET',
      path,
      host: 'shop',
      scheme: 'http',
      protocol: 'http',
      headers: headerFields(headers),
      source: { labels: {}, principal },
    } as const;
    return new Proxy<RequestView>(view, {
      get: (target, name: keyof RequestView) => {
        this.looks++;
        return target[name];
      },
    });
  }
}

const exact = (value: string): StringMatch => ({ kind: 'exact', value, ignoreCase: false });
const header = (name: string, match: HeaderMatch['match'], more: Partial<HeaderMatch> = {}): HeaderMatch => ({
  name,
  match,
  invert: false,
  treatMissingAsEmpty: false,
  ...more,
});
const query = (name: string, match: QueryMatch['match']): QueryMatch => ({ name, match });

interface Kind {
  match(i: number, effort: Effort): Partial<RouteMatch>;
  request(i: number, effort: Effort): RequestView;
}
const inside = (i: number, effort: Effort): RequestView => effort.request(`/api/svc-${i}/items/42`);

const kinds: Readonly<Record<string, Kind>> = {
  'an exact path': {
    match: (i) => ({ path: { kind: 'exact', value: `/api/svc-${i}/items/42`, ignoreCase: false } }),
    request: inside,
  },
  'a prefix': {
    match: (i) => ({ path: { kind: 'prefix', value: `/api/svc-${i}/`, ignoreCase: false } }),
    request: inside,
  },
  'a prefix, whatever its case': {
    match: (i) => ({ path: { kind: 'prefix', value: `/API/svc-${i}/`, ignoreCase: true } }),
    request: inside,
  },
  'a prefix of segments': {
    match: (i) => ({ path: { kind: 'segments', value: `/api/svc-${i}`, ignoreCase: false } }),
    request: inside,
  },
  'an expression with a beginning of its own': {
    match: (i, effort) => ({ path: effort.regex(`^/api/svc-${i}/(items|orders)/\\d+`) }),
    request: inside,
  },
  'an expression that begins with .*': {
    match: (i, effort) => ({ path: effort.regex(`.*/svc-${i}/(items|orders)/\\d+`) }),
    request: inside,
  },
  'an expression that begins as all others do': {
    match: (i, effort) => ({ path: effort.regex(`/[a-z]+/svc-${i}/.*`) }),
    request: inside,
  },
  'an expression whatever the case': {
    match: (i, effort) => ({ path: effort.regex(`(?i).*/SVC-${i}/items/\\d+`) }),
    request: inside,
  },
  'an expression of alternatives': {
    match: (i, effort) => ({ path: effort.regex(`.*/(svc-${i}|service-${i})/items/\\d+`) }),
    request: inside,
  },
  'an expression with two texts that only together are its own': {
    match: (i, effort) => ({ path: effort.regex(`.*/a-${i % 70}/.*/b-${Math.floor(i / 70)}/.*`) }),
    request: (i, effort) => effort.request(`/x/a-${i % 70}/y/b-${Math.floor(i / 70)}/z`),
  },
  'the value of a header': {
    match: (i) => ({ headers: [header('x-tenant', exact(`t-${i}`))] }),
    request: (i, effort) => effort.request('/', { 'x-tenant': `t-${i}` }),
  },
  'the value of a header, whatever its case': {
    match: (i) => ({ headers: [header('x-tenant', { kind: 'exact', value: `T-${i}`, ignoreCase: true })] }),
    request: (i, effort) => effort.request('/', { 'x-tenant': `t-${i}` }),
  },
  'one of several values of a header': {
    match: (i) => ({ headers: [header('x-tenant', exact(`t-${i}`))] }),
    request: (i, effort) => effort.request('/', { 'x-tenant': ['none', `t-${i}`] }),
  },
  'what a header begins with': {
    match: (i) => ({ headers: [header('x-user', { kind: 'prefix', value: `u-${i}-`, ignoreCase: false })] }),
    request: (i, effort) => effort.request('/', { 'x-user': `u-${i}-ann` }),
  },
  'what a header ends with': {
    match: (i) => ({ headers: [header('x-user', { kind: 'suffix', value: `@t-${i}.org`, ignoreCase: false })] }),
    request: (i, effort) => effort.request('/', { 'x-user': `ann@t-${i}.org` }),
  },
  'an expression for a header': {
    match: (i, effort) => ({ headers: [header('x-user', effort.regex(`[a-z]+@t-${i}\\.org`))] }),
    request: (i, effort) => effort.request('/', { 'x-user': `ann@t-${i}.org` }),
  },
  'a header that is there': {
    match: (i) => ({ headers: [header(`x-flag-${i}`, { kind: 'present', present: true })] }),
    request: (i, effort) => effort.request('/', { accept: '*/*', [`x-flag-${i}`]: '1' }),
  },
  'a range of a header of its own': {
    match: (i) => ({ headers: [header(`x-flag-${i}`, { kind: 'range', start: 0, end: 9 })] }),
    request: (i, effort) => effort.request('/', { accept: '*/*', [`x-flag-${i}`]: '1' }),
  },
  'a header and its method': {
    match: (i) => ({
      headers: [header(':method', exact(i % 2 === 0 ? 'GET' : 'POST')), header('x-tenant', exact(`t-${i >> 1}`))],
    }),
    request: (i, effort) => effort.request('/', { 'x-tenant': `t-${i >> 1}` }),
  },
  'one of two headers': {
    match: (i) => ({ headers: [header(i % 2 === 0 ? 'x-tenant' : 'x-team', exact(`t-${i}`))] }),
    request: (i, effort) => effort.request('/', { [i % 2 === 0 ? 'x-tenant' : 'x-team']: `t-${i}` }),
  },
  'the value of a query parameter': {
    match: (i) => ({ query: [query('tenant', exact(`t-${i}`))] }),
    request: (i, effort) => effort.request(`/?page=2&tenant=t-${i}`),
  },
  'a query parameter that is there': {
    match: (i) => ({ query: [query(`flag-${i}`, { kind: 'present', present: true })] }),
    request: (i, effort) => effort.request(`/?page=2&flag-${i}`),
  },
  'who calls': {
    match: (i) => ({
      source: { labels: [], principals: [{ match: exact(`spiffe://prod/ns/a/sa/s-${i}`), invert: false }] },
    }),
    request: (i, effort) => effort.request('/', {}, `spiffe://prod/ns/a/sa/s-${i}`),
  },
};

describe.each(Object.entries(kinds))('routes told apart by %s', (_what, kind) => {
  const cost = (count: number): number => {
    const effort = new Effort();
    const routes = Array.from({ length: count }, (_, i) => ({ match: aMatch(kind.match(i, effort)), value: i }));
    const table = new RouteTable(routes, { random: seededRandom(1), source: undefined });
    // Even ones: some kinds alternate.
    for (const i of [count - 2, 0, 24]) {
      const request = kind.request(i, effort);
      effort.tried = 0;
      effort.looks = 0;
      expect(table.find(request)).toBe(i);
    }
    return effort.tried + effort.looks;
  };

  test('cost a request among 5,000 what they cost it among 50', () => {
    expect(cost(5_000)).toBeLessThanOrEqual(cost(50) + 4);
  });
});

test('a text that is in a path many times has its expression tried once', () => {
  const effort = new Effort();
  const routes = Array.from({ length: 20 }, (_, i) => ({
    match: aMatch({ path: effort.regex(`.*/s-${i}/[a-z]+`) }),
    value: i,
  }));
  const table = new RouteTable(routes, { random: seededRandom(1), source: undefined });
  expect(table.find(effort.request('/s-3/'.repeat(1_000)))).toBeUndefined();
  expect(effort.tried).toBe(1);
});
