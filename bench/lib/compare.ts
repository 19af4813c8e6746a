/** Benchmarks compare: two or more ways of doing one thing, in one process, in turns, as ratios. */

export interface Side {
  readonly name: string;
  /** Does the thing once. */
  readonly once: () => Promise<unknown> | undefined;
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
  readonly perRound: number;
  readonly rounds: number;
  /** Highest ratio that design.md allows, by side. */
  readonly budgets?: Readonly<Record<string, number>>;
}

/** True when only a sign of life is asked for. */
export const SMOKE = process.argv.includes('--smoke');

/** This process's CPU time per call, the median of rounds that alternate between the sides. */
export async function compareCpu(options: CompareOptions): Promise<Comparison> {
  const perRound = SMOKE ? Math.min(200, options.perRound) : options.perRound;
  const rounds = SMOKE ? 1 : options.rounds;
  const samples = new Map<Side, number[]>(options.sides.map((side) => [side, []]));
  for (const side of options.sides) await run(side, SMOKE ? 50 : Math.max(2_000, perRound), options.concurrency);
  for (let round = 0; round < rounds; round++) {
    // Each round begins with another side, so that none always runs on the other's garbage.
    for (let i = 0; i < options.sides.length; i++) {
      const side = options.sides[(i + round) % options.sides.length] as Side;
      const before = process.cpuUsage();
      await run(side, perRound, options.concurrency);
      const used = process.cpuUsage(before);
      samples.get(side)?.push((used.user + used.system) / perRound);
    }
  }
  const medians = options.sides.map((side) => median(samples.get(side) as number[]));
  const base = medians[0] as number;
  return {
    question: options.question,
    unit: 'µs CPU per call',
    rows: options.sides.map(({ name }, i) => {
      const value = medians[i] as number;
      const budget = options.budgets?.[name];
      return { name, value, ratio: value / base, ...(budget === undefined ? {} : { budget }) };
    }),
  };
}

async function run({ once }: Side, count: number, concurrency: number): Promise<void> {
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

/** Prints a table for people; the line that starts with `JSON ` is for `bench/run.mjs`. */
export function report(...comparisons: readonly Comparison[]): void {
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
