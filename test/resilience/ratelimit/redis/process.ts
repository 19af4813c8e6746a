import type { Limit, LimitLease } from '../../../../src/core/model/limit.js';
import { settle } from '../../../support/fake-clock.js';
import { REF, storesOf } from './support.js';

/** What a process is told to do. */
export interface Work {
  readonly url: string | readonly string[];
  readonly limit: Limit;
  readonly lease: LimitLease | undefined;
  /** At most: until it is told to stop. */
  readonly calls: number;
  readonly timeoutMs: number;
}

/** When calls that were let through began and ended: wall time, the same clock in all processes of a machine. */
export type Report = readonly (readonly [began: number, ended: number])[];

/** How many calls are under way at once. */
const WIDTH = 5;

const now = (): number => performance.timeOrigin + performance.now();

let stopped = false;

async function work({ url, limit, lease, calls, timeoutMs }: Work): Promise<Report> {
  const store = storesOf(url).open({ ...REF, timeoutMs, ...(lease && { lease }) });
  stopped = false;
  const report: (readonly [number, number])[] = [];
  for (let done = 0; done < calls && !stopped; done += WIDTH) {
    const one = async (): Promise<void> => {
      const began = now();
      // No answer is a refusal here.
      const state = await Promise.resolve(store.take('shared', limit, 1)).catch(() => undefined);
      if (state?.allowed) report.push([began, now()]);
    };
    await Promise.all(Array.from({ length: WIDTH }, one));
    await settle();
  }
  await store.close();
  return report;
}

process.on('message', (order: Work | 'stop') => {
  if (order === 'stop') stopped = true;
  else void work(order).then((report) => process.send?.(report));
});
process.send?.('ready');
