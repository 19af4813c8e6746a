/* What does it cost to find a call's route, by number of routes and what they match? */
import { headerFields } from '../src/core/headers.js';
import type { HeaderMatch, PathMatch, RouteMatch } from '../src/core/model/match.js';
import { seededRandom } from '../src/core/random.js';
import { safeRegex } from '../src/core/regex/safe-regex.js';
import type { RequestView } from '../src/routing/request.js';
import { RouteTable } from '../src/routing/table/table.js';
import { aMatch } from '../test/support/targets.js';
import { compareCpu, report, SMOKE } from './lib/compare.js';

const LOOKUPS = 100;

interface Kind {
  readonly match: (i: number) => RouteMatch;
  readonly request: (i: number) => Pick<RequestView, 'path' | 'headers'>;
}

const path = (value: PathMatch): RouteMatch => aMatch({ path: value });
const byHeader = (match: HeaderMatch['match']): RouteMatch =>
  aMatch({ headers: [{ name: 'x-tenant', match, invert: false, treatMissingAsEmpty: false }] });
const inside = (i: number) => ({ path: `/api/service-${i}/items/42?page=2`, headers: headerFields() });

const kinds: Readonly<Record<string, Kind>> = {
  'exact path': {
    match: (i) => path({ kind: 'exact', value: `/api/service-${i}/items/42`, ignoreCase: false }),
    request: inside,
  },
  'path prefix': {
    match: (i) => path({ kind: 'prefix', value: `/api/service-${i}/`, ignoreCase: false }),
    request: inside,
  },
  'path segments': {
    match: (i) => path({ kind: 'segments', value: `/api/service-${i}`, ignoreCase: false }),
    request: inside,
  },
  'prefix and header': {
    match: (i) => ({
      ...byHeader({ kind: 'exact', value: 'acme', ignoreCase: false }),
      path: { kind: 'prefix', value: `/api/service-${i}/`, ignoreCase: false },
    }),
    request: (i) => ({ ...inside(i), headers: headerFields({ 'x-tenant': 'acme' }) }),
  },
  'regular expression with a beginning of its own': {
    match: (i) => path({ kind: 'regex', regex: safeRegex(`/api/service-${i}/items/\\d+`) }),
    request: inside,
  },
  'regular expression that begins with .*': {
    match: (i) => path({ kind: 'regex', regex: safeRegex(`.*/service-${i}/items/\\d+`) }),
    request: inside,
  },
  'value of a header': {
    match: (i) => byHeader({ kind: 'exact', value: `tenant-${i}`, ignoreCase: false }),
    request: (i) => ({ path: '/', headers: headerFields({ 'x-tenant': `tenant-${i}` }) }),
  },
  'expression for a header': {
    match: (i) => byHeader({ kind: 'regex', regex: safeRegex(`.*@tenant-${i}\\.(org|com)`) }),
    request: (i) => ({ path: '/', headers: headerFields({ 'x-tenant': `ann@tenant-${i}.org` }) }),
  },
  'value of a query parameter': {
    match: (i) =>
      aMatch({ query: [{ name: 'tenant', match: { kind: 'exact', value: `tenant-${i}`, ignoreCase: false } }] }),
    request: (i) => ({ path: `/?page=2&tenant=tenant-${i}`, headers: headerFields() }),
  },
};

function finder({ match, request }: Kind, count: number): () => undefined {
  const table = new RouteTable(
    Array.from({ length: count }, (_, i) => ({ match: match(i), value: i })),
    { random: seededRandom(1), source: { labels: {}, principal: undefined } },
  );
  const random = seededRandom(2);
  const requests = Array.from({ length: LOOKUPS }, (): RequestView => {
    const { path: at, headers } = request(random.int(count));
    return { method: 'GET', path: at, host: 'shop', scheme: 'http', protocol: 'http', headers };
  });
  return () => {
    for (const each of requests) {
      if (table.find(each) === undefined) throw new Error(`no route for ${each.path}`);
    }
    return undefined;
  };
}

const comparisons = [];
for (const [name, kind] of Object.entries(kinds)) {
  comparisons.push(
    await compareCpu({
      question: `A route decision by ${name}, by number of routes`,
      sides: (SMOKE ? [10] : [10, 100, 1_000, 5_000]).map((count) => ({
        name: `${count}`,
        open: async () => ({ once: finder(kind, count) }),
      })),
      concurrency: 1,
      perRun: 5_000,
      runs: 3,
      each: { what: 'decision', perOnce: LOOKUPS },
    }),
  );
}

/** The worst that there is: nothing but trying them tells ranges of one header apart; the one that matches is the last. */
const ranges = (count: number): (() => undefined) => {
  const kind: Kind = {
    match: (i) => byHeader({ kind: 'range', start: i, end: i + 1 }),
    request: () => ({ path: '/', headers: headerFields({ 'x-tenant': String(count - 1) }) }),
  };
  return finder(kind, count);
};
comparisons.push(
  await compareCpu({
    question: 'A route decision among ranges of one header, by number of routes (grows with them)',
    sides: (SMOKE ? [10] : [10, 100]).map((count) => ({
      name: `${count}`,
      open: async () => ({ once: ranges(count) }),
    })),
    concurrency: 1,
    perRun: 50,
    runs: 3,
    each: { what: 'decision', perOnce: LOOKUPS },
  }),
);
report(...comparisons);
