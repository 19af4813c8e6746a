import { bars, lines, table } from './svg.mjs';

/* What docs/balancing.md shows of bench/results: plots by file name, and tables by the mark that they stand under. */

const percent = (share, digits = 2) => `${(share * 100).toFixed(digits)} %`;
const number = (value) => value.toLocaleString('en', { maximumFractionDigits: value < 100 ? 1 : 0 });
const COMPARED = ['round robin', 'least request', 'peak EWMA'];
const seconds = (values) => values.map((value, i) => [i, value]);
/** `A pick by peak EWMA, by number of endpoints` → `peak EWMA`. */
const subjectOf = ({ question }, before) => question.slice(before.length).replace(/, by number of .*$/, '');

export function plots({ experiments, balancing }) {
  const { beyond, failing, localities, apertures } = experiments;
  const picks = balancing.filter(({ question }) => question.startsWith('A pick by '));
  const curve = (name) => {
    const { rows } = picks.find((pick) => subjectOf(pick, 'A pick by ') === name);
    return { name, points: rows.map((row) => [Number(row.name), row.value]) };
  };
  return {
    'beyond-round-robin.svg': lines({
      title: 'Calls answered in time, while one of 11 backends is slow',
      series: COMPARED.map((name) => ({ name, points: seconds(beyond[name].bySecond) })),
      xTicks: [0, 45, 90, 135, 180].map((at) => [at, `${at} s`]),
      yTicks: [0.88, 0.91, 0.94, 0.97, 1].map((at) => [at, percent(at, 0)]),
      xName: 'time',
      yName: 'success rate in each second',
      shade: { from: 45, to: 135, name: 'one backend takes 2 s; limit 1 s' },
    }),
    'fast-failure.svg': bars({
      title: 'Share of the calls that a backend failing at once attracts, of 10',
      rows: Object.entries(failing).map(([name, { share }]) => ({
        name,
        value: share,
        text: percent(share),
        strong: name === 'peak EWMA',
      })),
      max: 0.6,
      mark: { value: 0.1, name: 'its fair share' },
    }),
    'locality.svg': lines({
      title: 'Calls that go to the near locality, lost at 10 s and there again at 20 s',
      series: [
        { name: 'withdrawn', points: localities.withdrawn.near.map((share, i) => [i / 2, share]) },
        { name: 'refusing', points: localities.refused.near.map((share, i) => [i / 2, share]) },
      ],
      xTicks: [0, 10, 20, 30, 40, 50, 60].map((at) => [at, `${at} s`]),
      yTicks: [0, 0.25, 0.5, 0.75, 1].map((at) => [at, percent(at, 0)]),
      xName: 'time',
      yName: 'share of the calls in each half second',
      shade: { from: 10, to: 20, name: 'lost' },
    }),
    'subsets.svg': lines({
      title: 'Load of 300 servers under 100 clients, ÷ the mean',
      series: Object.entries(apertures).map(([name, { loads }]) => ({
        name: name.replace(' of 20', ''),
        points: loads.map((load, i) => [i + 1, load]),
      })),
      xTicks: [1, 100, 200, 300].map((at) => [at, `${at}`]),
      yTicks: [0, 0.5, 1, 1.5, 2, 2.5].map((at) => [at, `${at}`]),
      xName: 'servers, the busiest first',
      yName: 'load ÷ mean',
    }),
    'picks.svg': lines({
      title: 'What a pick costs',
      series: ['peak EWMA', 'least request', 'ring hash', 'round robin'].map(curve),
      xTicks: [10, 100, 1_000, 10_000].map((at) => [at, number(at)]),
      yTicks: ticksUpTo(
        Math.max(...['peak EWMA', 'least request'].flatMap((name) => curve(name).points.map(([, y]) => y))),
      ),
      xName: 'endpoints',
      yName: 'nanoseconds of CPU',
      logX: true,
    }),
  };
}

export function tables({ experiments, balancing, routing }) {
  const { beyond, byLimit, failing, localities, apertures } = experiments;
  const picks = balancing.filter(({ question }) => question.startsWith('A pick by '));
  const [replaced] = balancing.filter(({ question }) => question.startsWith('Replacing '));
  const decisions = routing.filter(({ question }) => question.startsWith('A route decision by '));
  return {
    beyond: table(
      ['policy', 'answered in time', 'calls to the slow backend meanwhile', 'p50', 'p95', 'p99'],
      Object.entries(beyond).map(([name, { successRate, slowShare, p50, p95, p99 }]) => [
        name,
        percent(successRate),
        percent(slowShare),
        ...[p50, p95, p99].map((ms) => `${Math.round(ms)} ms`),
      ]),
    ),
    limits: table(
      ['policy', 'the mesh, by its deadline', 'the caller, who gives up', 'nobody: late replies count as failed'],
      Object.entries(byLimit).map(([name, { deadline, caller, nobody }]) => [
        name,
        ...[deadline, caller, nobody].map((rate) => percent(rate)),
      ]),
    ),
    failing: table(
      ['policy', 'calls to the failing backend', 'success rate of the whole run'],
      Object.entries(failing).map(([name, { share, successRate }]) => [name, percent(share), percent(successRate)]),
    ),
    localities: table(
      ['the near locality', 'failed calls', 'busiest endpoint ÷ fair rate', 'calls near again after'],
      Object.entries(localities).map(([name, { failed, spike, returnMs }]) => [
        name === 'refused' ? 'refuses connections' : 'is withdrawn by the control plane',
        failed,
        spike.toFixed(2),
        returnMs === 0 ? 'at once' : `${returnMs / 1_000} s`,
      ]),
    ),
    apertures: table(
      ['subset', 'connections', 'busiest server ÷ mean', 'idlest', 'standard deviation'],
      Object.entries(apertures).map(([name, { connections, max, min, deviation }]) => [
        name,
        number(connections),
        max.toFixed(2),
        min.toFixed(2),
        deviation.toFixed(3),
      ]),
    ),
    picks: table(
      ['ns a pick, by endpoints', ...picks[0].rows.map(({ name }) => number(Number(name)))],
      picks.map((pick) => [subjectOf(pick, 'A pick by '), ...pick.rows.map(({ value }) => number(value))]),
    ),
    replaced: table(
      ['policy', 'milliseconds'],
      replaced.rows.map(({ name, value }) => [name, (value / 1_000).toFixed(1)]),
    ),
    routes: table(
      ['ns a decision, by routes', ...decisions[0].rows.map(({ name }) => number(Number(name)))],
      decisions.map((each) => [
        subjectOf(each, 'A route decision by '),
        ...each.rows.map(({ value }) => number(value)),
      ]),
    ),
  };
}

/** Four steps from 0, the last at or above `max`. */
function ticksUpTo(max) {
  const step = [25, 50, 75, 100, 150, 200, 250, 300, 400, 500].find((size) => size * 4 >= max) ?? Math.ceil(max / 4);
  return [0, 1, 2, 3, 4].map((i) => [i * step, number(i * step)]);
}
