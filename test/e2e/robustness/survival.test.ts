import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterEach, expect, test, vi } from 'vitest';
import { seededRandom } from '../../../src/core/random.js';
import { CLUSTER, ENDPOINT, LISTENER, RESOURCE_TYPES, ROUTE } from '../../../src/core/resources.js';
import { endpointResource, routeResource, toCluster } from '../../support/xds-resources.js';
import { packed, ScriptedPlane } from './scripted-plane.js';
import { compiled } from '../../support/compiled.js';
import { Opened, WAIT } from './support.js';

const opened = new Opened();
afterEach(() => opened.close());

interface Survivor {
  readonly child: ChildProcess;
  nextLine(): Promise<string>;
}

/** Starts the program; it is ended here should it not end by itself. */
async function survivor(address: string): Promise<Survivor> {
  const args = [await compiled(join(import.meta.dirname, 'survivor.ts')), address];
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'ignore'] });
  opened.add(child, (each) => each.kill('SIGKILL'));
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  return { child, nextLine: async () => (await lines.next()).value ?? 'it died' };
}

test('a process of its own outlives 400 mutated responses, cut streams and restarts of a hostile control plane, and fails no call', async () => {
  const [a, b] = [await opened.backend('a'), await opened.backend('b')];
  const plane = opened.add(await ScriptedPlane.start(), (each) => each.close());
  plane.serve(a.httpPort);
  const program = await survivor(plane.address);
  expect(await program.nextLine()).toBe('serving');
  const random = seededRandom(7);
  const calls = (): number => a.seen.length;
  for (let i = 0; i < 400; i++) {
    const type = RESOURCE_TYPES[random.int(RESOURCE_TYPES.length)] as (typeof RESOURCE_TYPES)[number];
    if (i % 100 === 50) plane.pushRaw(plane.response(type).subarray(0, -7));
    else if (i % 100 === 75) plane.endStream();
    else if (i % 100 === 99) await plane.restart();
    else plane.push(type, mutated(plane, type, random.int));
    // A push waits for no answer, so that many are under way at once; now and then the program is let to its calls.
    if (i % 25 === 0) {
      const before = calls();
      await vi.waitFor(() => expect(calls()).toBeGreaterThan(before + 5), WAIT);
    }
  }
  await vi.waitFor(() => expect(plane.refusals.length).toBeGreaterThan(10), WAIT);
  plane.serve(b.httpPort);
  // A stream that has been cut comes back after its backoff, and is answered with what is held.
  const report = JSON.parse(await program.nextLine()) as { total: number; failures: string[]; last: string };
  expect(report.failures).toEqual([]);
  expect(report.last).toBe('b');
  expect(program.child.exitCode ?? (await once(program.child, 'exit'))[0]).toBe(0);
}, 60_000);

/** The good resources, each broken in its first tag or length, or cut off as well: none of them may be taken. */
function mutated(plane: ScriptedPlane, type: string, int: (bound: number) => number) {
  const held = plane.held.get(type as typeof CLUSTER) ?? [];
  return held.map(({ type_url, value }) => {
    const bytes = Buffer.from(value);
    // 0xff in a first tag or length is malformed; in what follows it might make a port of another one, and the calls would be right to fail.
    for (let n = int(4); n >= 0; n--) bytes[int(Math.min(bytes.length, 2))] = 0xff;
    return { type_url, value: int(4) === 0 ? bytes.subarray(0, int(bytes.length)) : bytes };
  });
}

test('a process of its own outlives resources as deep and as long as a message allows', async () => {
  const [a, b] = [await opened.backend('a'), await opened.backend('b')];
  const plane = opened.add(await ScriptedPlane.start(), (each) => each.close());
  plane.serve(a.httpPort);
  const program = await survivor(plane.address);
  expect(await program.nextLine()).toBe('serving');
  // 100,000 groups within each other: a decoder that recurses without a bound overflows its stack.
  plane.push(CLUSTER, [{ type_url: CLUSTER, value: nested(100_000) }]);
  plane.push(LISTENER, [{ type_url: LISTENER, value: Buffer.alloc(1_000_000, 0x0b) }]);
  const regex = `${'(a+'.repeat(500)}${')+'.repeat(500)}`;
  plane.push(ROUTE, [packed(ROUTE, routeResource('routes', [toCluster('backend', { safe_regex: { regex } })]))]);
  const names = Array.from({ length: 50_000 }, (_, i) => toCluster('backend', { prefix: `/never-${i}` }));
  plane.push(ROUTE, [packed(ROUTE, routeResource('routes', [...names, toCluster('backend')]))]);
  plane.push(
    ENDPOINT,
    Array.from({ length: 20_000 }, (_, i) => packed(ENDPOINT, endpointResource(`other-${i}`, 1))),
  );
  const before = a.seen.length;
  await vi.waitFor(() => expect(plane.refusals.length).toBeGreaterThanOrEqual(3), WAIT);
  await vi.waitFor(() => expect(a.seen.length).toBeGreaterThan(before + 20), WAIT);
  plane.serve(b.httpPort);
  const report = JSON.parse(await program.nextLine()) as { total: number; failures: string[]; last: string };
  expect(report).toMatchObject({ failures: [], last: 'b' });
  expect(program.child.exitCode ?? (await once(program.child, 'exit'))[0]).toBe(0);
}, 60_000);

/** A Cluster whose name is good, followed by groups within groups: one start-group tag of field 1 for each level. */
function nested(depth: number): Buffer {
  const name = Buffer.concat([Buffer.from([0x0a, 7]), Buffer.from('backend')]);
  return Buffer.concat([name, Buffer.alloc(depth, 0x0b)]);
}
