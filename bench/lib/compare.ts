/** Benchmarks compare: two or more ways of doing one thing, in turns, as ratios. */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

export interface Side {
  readonly name: string;
  /** Makes what is needed; `once` does the thing once. Called in the process that measures this side, and nowhere else. */
  readonly open: () => Promise<{
    readonly once: () => unknown;
    readonly close?: () => unknown;
    /** Microseconds of CPU that other processes have used, where they are to be counted as well. */
    readonly alsoCpu?: () => number;
  }>;
}

export interface Comparison {
  readonly question: string;
  /** What a number is: `µs CPU per call`. */
  readonly unit: string;
  readonly rows: readonly {
    readonly name: string;
    readonly value: number;
    readonly ratio: number;
    readonly budget?: number;
  }[];
}

export interface CompareOptions {
  readonly question: string;
  /** The first is what the others are measured against. */
  readonly sides: readonly Side[];
  /** Things under way at once. */
  readonly concurrency: number;
  /** Things done in one measurement, after as many to warm up. */
  readonly perRun: number;
  /** Measurements of each side, in turns. */
  readonly runs: number;
  /** Highest ratio that design.md allows, by side. */
  readonly budgets?: Readonly<Record<string, number>>;
  /** `once` does so many small things at a turn, so that they are measured and not the turn: a number is nanoseconds of CPU for each. */
  readonly each?: { readonly what: string; readonly perOnce: number };
}

/** True when only a sign of life is asked for. */
export const SMOKE = process.argv.includes('--smoke');

/** Set in a process that measures one side: which, as JSON. */
const ONE_SIDE = process.env['INMESH_BENCH_SIDE'];

const run = promisify(execFile);

/**
 * A process's CPU time per call, the median of runs that alternate between the sides. Each run is a process of its own, as an application
 * uses one side or the other: what V8 learned of one must not slow the other down.
 */
export const compareCpu = async (options: CompareOptions): Promise<Comparison> => (await compareCpuAndRate(options))[0];

/** How many a second, likewise. Higher is better. */
export const compareRate = async (options: CompareOptions): Promise<Comparison> =>
  (await compareCpuAndRate(options))[1];

/** Both, of the same runs. Budgets are of the CPU. */
export async function compareCpuAndRate(
  options: CompareOptions,
): Promise<readonly [cpu: Comparison, rate: Comparison]> {
  const { question, sides, each } = options;
  if (ONE_SIDE !== undefined) {
    const { question: asked, name } = JSON.parse(ONE_SIDE) as { question: string; name: string };
    if (asked === question) await measure(sides.find((side) => side.name === name) as Side, options);
    const nothing = { question, unit: '', rows: [] };
    return [nothing, nothing];
  }
  const cpu = sides.map((): number[] => []);
  const rate = sides.map((): number[] => []);
  for (let round = 0; round < (SMOKE ? 1 : options.runs); round++) {
    // Each round begins with another side, so that none always has the machine as the other leaves it.
    for (let i = 0; i < sides.length; i++) {
      const at = (i + round) % sides.length;
      const env = { ...process.env, INMESH_BENCH_SIDE: JSON.stringify({ question, name: sides[at]?.name }) };
      const { stdout } = await run(process.execPath, process.argv.slice(1), { env });
      const said = (what: string): number => Number(new RegExp(`^${what} (.*)$`, 'm').exec(stdout)?.[1]);
      cpu[at]?.push(said('MEASURED'));
      rate[at]?.push(said('A SECOND'));
    }
  }
  const scale = each === undefined ? 1 : 1_000 / each.perOnce;
  const perCall = each === undefined ? 'µs CPU per call' : `ns CPU per ${each.what}`;
  return [
    comparison(
      options,
      perCall,
      cpu.map((samples) => median(samples) * scale),
      options.budgets,
    ),
    comparison(options, 'a second', rate.map(median)),
  ];
}

function comparison(
  { question, sides }: CompareOptions,
  unit: string,
  values: readonly number[],
  budgets: CompareOptions['budgets'] = {},
): Comparison {
  const base = values[0] as number;
  const rows = sides.map(({ name }, i) => {
    const value = values[i] as number;
    const budget = budgets[name];
    return { name, value, ratio: value / base, ...(budget === undefined ? {} : { budget }) };
  });
  return { question, unit, rows };
}

async function measure(side: Side, { perRun, concurrency }: CompareOptions): Promise<void> {
  const count = SMOKE ? Math.min(200, perRun) : perRun;
  const { once, close, alsoCpu = () => 0 } = await side.open();
  await repeat(once, count, concurrency);
  const others = alsoCpu();
  const startedAt = performance.now();
  const before = process.cpuUsage();
  await repeat(once, count, concurrency);
  const used = process.cpuUsage(before);
  const seconds = (performance.now() - startedAt) / 1_000;
  const alsoUsed = alsoCpu() - others;
  await close?.();
  console.log(`MEASURED ${(used.user + used.system + alsoUsed) / count}`);
  console.log(`A SECOND ${count / seconds}`);
}

async function repeat(once: () => unknown, count: number, concurrency: number): Promise<void> {
  let left = count;
  await Promise.all(
    Array.from({ length: concurrency }, async () => {
      while (left-- > 0) await once();
    }),
  );
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1
    ? (sorted[middle] as number)
    : ((sorted[middle - 1] as number) + (sorted[middle] as number)) / 2;
}

/** Prints a table for people; the line that starts with `JSON ` is for `bench/run.mjs`. Says nothing in a process that measures one side. */
export function report(...comparisons: readonly Comparison[]): void {
  if (ONE_SIDE !== undefined) return;
  for (const { question, unit, rows } of comparisons) {
    console.log(`\n${question} (${unit})`);
    const width = Math.max(...rows.map(({ name }) => name.length));
    for (const { name, value, ratio, budget } of rows) {
      const verdict = budget === undefined ? '' : `  budget ${budget}${ratio <= budget ? '' : '  OVER'}`;
      console.log(
        `  ${name.padEnd(width)}  ${value.toFixed(2).padStart(9)}  ${ratio.toFixed(2).padStart(6)}${verdict}`,
      );
    }
  }
  console.log(`JSON ${JSON.stringify(comparisons)}`);
}
