import { lines, table } from './svg.mjs';

/* What docs/performance.md shows of bench/results: plots by file name, and tables by the mark that they stand under. */

const SIDES = { gradient2: 'shedding', without: 'no shedding' };

export function plots({ overload }) {
  const { capacity, workers } = overload;
  return {
    'overload.svg': lines({
      title: 'Answered while somebody waited, of a server that can serve 1,000 a second',
      series: Object.entries(SIDES).map(([side, name]) => ({
        name,
        points: workers[side].map(({ load, goodput }) => [load, goodput]),
      })),
      xTicks: [0.5, 1, 1.5, 2, 2.5, 3].map((load) => [load, `${load}×`]),
      yTicks: [0, 0.25, 0.5, 0.75, 1].map((share) => [share * capacity, `${share * capacity}`]),
      xName: 'load, as a multiple of what it can serve',
      yName: 'good answers a second',
    }),
  };
}

const NAMES = { without: 'no shedding', gradient2: 'Gradient2, the default' };
const KINDS = { workers: 'workers behind a queue', handlers: 'handlers that compute' };

export function tables({ overload }) {
  const best = (points) => Math.max(...points.map(({ goodput }) => goodput));
  const rows = Object.entries(KINDS).flatMap(([kind, server]) =>
    Object.entries(overload[kind]).map(([limit, points]) => {
      const last = points.at(-1);
      const share = `${((100 * last.goodput) / best(points)).toFixed(0)} %`;
      return [server, NAMES[limit] ?? limit, ...[best(points), last.goodput].map((a) => a.toFixed(0)), share];
    }),
  );
  const load = overload.workers.without.at(-1).load;
  return { overload: table(['server', 'limit', 'at best, a second', `at ${load}×`, 'of its best'], rows, 2) };
}
