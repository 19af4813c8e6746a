import { writeSync } from 'node:fs';
import { meshClient } from '../../../src/index.js';

/*
 * A program that calls `reviews` without pause, as a process of its own: whatever its control plane sends, nothing but its own end may end
 * it. It says "serving" once the first call is served, ends when another backend answers than the first, and tells what came of it.
 */

const mesh = meshClient({ service: 'survivor', xds: process.argv[2] as string });
let total = 0;
let first: string | undefined;
let last: string | undefined;
const failures: string[] = [];
while (first === undefined || last === first) {
  try {
    last = ((await (await mesh.fetch('http://reviews/get')).json()) as { id: string }).id;
    if (first === undefined) writeSync(1, 'serving\n');
    first ??= last;
  } catch (error) {
    failures.push(String((error as { code?: string }).code ?? error));
    if (failures.length > 100) break;
  }
  total++;
  await new Promise((resolve) => setImmediate(resolve));
}
await mesh.close();
writeSync(1, `${JSON.stringify({ total, failures, first, last })}\n`);
