import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { Program, root } from './support/program.js';

const { stale } = await import(join(root, 'scripts', 'lib', 'project.mjs'));
const SHIPPED = readFileSync(join(root, 'examples', 'demo', 'mesh.yaml'), 'utf8');

/** Everything the demo writes by itself goes here too, so that what it leaves behind is seen. */
let folder: string;
let file: string;
let program: Program | undefined;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'inmesh-demo-test-'));
  file = join(folder, 'mesh.yaml');
  writeFileSync(file, SHIPPED);
});
afterEach(async () => {
  await program?.kill();
  rmSync(folder, { recursive: true, force: true });
});

const start = (env: Readonly<Record<string, string>> = {}): Program => {
  program = new Program(process.execPath, ['examples/demo/main.mjs', file], { TMPDIR: folder, ...env });
  return program;
};

/** Replaces text that must be there. */
function edit(from: string, to: string): void {
  const text = readFileSync(file, 'utf8');
  if (!text.includes(from)) throw new Error(`mesh.yaml does not have ${JSON.stringify(from)}`);
  writeFileSync(file, text.replace(from, to));
}

interface Row {
  readonly version: string;
  readonly rate: number;
  readonly success: number;
  readonly p95: number;
  readonly retries: number;
}

/** The rows of one service in the newest whole snapshot after `mark`, when there is one. */
function rowsOf(output: string, service: string, mark = 0): Row[] | undefined {
  const end = output.lastIndexOf('\n\n');
  const begin = output.lastIndexOf('CALLER', end);
  if (begin < mark || begin < 0) return undefined;
  return output
    .slice(begin, end)
    .split('\n')
    .map((line) => line.replaceAll(' ms', '').split(/ +/))
    .filter((cells) => cells[1] === service)
    .map(([, , version = '', rate, success, , p95, , retries]) => ({
      version,
      rate: Number(rate),
      success: Number.parseFloat(success ?? ''),
      p95: Number(p95),
      retries: Number(retries),
    }));
}

const rateOf = (rows: readonly Row[] | undefined, version: string): number =>
  rows?.find((row) => row.version === version)?.rate ?? 0;

/** Resolves once the newest snapshot after `mark` is as `is` says. */
const seen = (demo: Program, service: string, is: (rows: Row[]) => boolean, mark = 0): Promise<Row[]> =>
  demo.until(`the table of ${service}`, (output) => {
    const rows = rowsOf(output, service, mark);
    return rows !== undefined && rows.length > 0 && is(rows) && rows;
  });

// The machine may be busy with everything else that the test run starts.
describe('the demo', { timeout: 120_000 }, () => {
  test('says where the control plane is and what to edit, and measures every service', async () => {
    const demo = start();
    const admin = await demo.until('the address', (output) => /admin (http:\/\/127\.0\.0\.1:\d+)/.exec(output)?.[1]);
    expect(demo.output).toMatch(/control plane 127\.0\.0\.1:\d+/);
    expect(demo.output).toContain(`Edit ${file} and save. Things to try:`);
    const line = SHIPPED.split('\n').findIndex((text) => text.endsWith(' weight: 10')) + 1;
    expect(demo.output).toMatch(new RegExp(`^ {2}line ${line} +weight: 10 +try 90: `, 'm'));

    for (const service of ['frontend', 'details', 'reviews', 'ratings', 'inventory', 'payments']) {
      await seen(demo, service, (rows) => rows.every((row) => row.rate > 0 && row.success > 90));
    }
    const clients = await (await fetch(`${admin}/clients`)).json();
    expect(JSON.stringify(clients)).toContain('"frontend"');
    const versions = rowsOf(demo.output, 'reviews');
    expect(rateOf(versions, 'v1')).toBeGreaterThan(rateOf(versions, 'v2'));
  });

  test('an edit of the weights moves the table; a broken one is reported with its line while traffic goes on', async () => {
    const demo = start();
    await seen(demo, 'reviews', (rows) => rateOf(rows, 'v1') > rateOf(rows, 'v2'));

    edit('weight: 90', 'weight: 0');
    await seen(demo, 'reviews', (rows) => rateOf(rows, 'v1') === 0 && rateOf(rows, 'v2') > 0);

    edit('weight: 10', 'wieght: 10');
    const line =
      readFileSync(file, 'utf8')
        .split('\n')
        .findIndex((text) => text.includes('wieght')) + 1;
    const refused = await demo.until('the refusal', (output) => {
      const at = output.lastIndexOf('configuration refused;');
      return at > 0 && at;
    });
    expect(demo.output.slice(refused)).toContain(
      `${file}:${line}:11 HTTPRoute/reviews spec.rules[0].backendRefs[1].wieght: unknown field; did you mean "weight"?`,
    );
    await seen(demo, 'reviews', (rows) => rateOf(rows, 'v1') === 0 && rateOf(rows, 'v2') > 0, refused);
    await seen(demo, 'frontend', ([row]) => row !== undefined && row.rate > 0 && row.success > 90, refused);

    edit('wieght: 10', 'weight: 0');
    edit('weight: 0', 'weight: 1');
    await seen(demo, 'reviews', (rows) => rateOf(rows, 'v1') > 0 && rateOf(rows, 'v2') === 0, refused);
  });

  test('edits of timeouts, retries and balancing do what the file says of them', async () => {
    const demo = start();
    await seen(demo, 'payments', ([row]) => row !== undefined && row.retries > 0 && row.success > 99);

    edit('request: 500ms', 'request: 5ms');
    edit('attempts: 2', 'attempts: 0');
    edit('simple: PEAK_EWMA', 'simple: ROUND_ROBIN');
    await seen(demo, 'reviews', (rows) => rows.every((row) => row.success < 50));
    await seen(demo, 'payments', ([row]) => row !== undefined && row.retries === 0 && row.success < 95);
    await seen(demo, 'inventory', ([row]) => row !== undefined && row.p95 > 100);
  });

  test('a file that is broken from the start is reported, and served once it is mended', async () => {
    edit('kind: HTTPRoute', 'kind: HttpRoute');
    const demo = start();
    await demo.until(
      'the refusal',
      (output) => output.includes('there is none to serve') && output.includes('HttpRoute'),
    );
    edit('kind: HttpRoute', 'kind: HTTPRoute');
    await seen(demo, 'frontend', ([row]) => row !== undefined && row.rate > 0);
  });

  test.each(['SIGINT', 'SIGTERM', 'SIGHUP'] as const)('%s ends it with 0 and leaves nothing behind', async (signal) => {
    const demo = start();
    await seen(demo, 'frontend', ([row]) => row !== undefined && row.rate > 0);
    demo.signal(signal);
    expect(await demo.exitCode()).toBe(0);
    expect(demo.output).toMatch(
      /All calls of this run:\n.*\ncustomers +frontend .*(?:.*\n)*\nEverything is closed\.\n$/,
    );
    expect(demo.left).toBe(false);
    expect(readdirSync(folder)).toEqual(['mesh.yaml']);
  });

  test('it ends by itself after INMESH_DEMO_SECONDS, even before anything was served', async () => {
    const demo = start({ INMESH_DEMO_SECONDS: '0.001' });
    expect(await demo.exitCode()).toBe(0);
    expect(demo.output).toMatch(/Everything is closed\.\n$/);
    expect(readdirSync(folder)).toEqual(['mesh.yaml']);
  });

  test('it ends when nobody reads what it prints', async () => {
    program = new Program('sh', ['-c', `"${process.execPath}" examples/demo/main.mjs "${file}" | head -n 1`], {
      TMPDIR: folder,
    });
    expect(await program.exitCode()).toBe(0);
    expect(program.left).toBe(false);
    expect(readdirSync(folder)).toEqual(['mesh.yaml']);
  });

  // A build during the tests would pull dist/ from under the others; `npm test` has built before.
  test.skipIf(stale()).each([
    ['Ctrl-C', (demo: Program) => demo.interrupt()],
    ['SIGTERM to npm alone', (demo: Program) => demo.signal('SIGTERM')],
  ])('npm start ends with %s, and no process stays', async (_, stop) => {
    program = new Program('npm', ['start', '--', file], { TMPDIR: folder });
    await seen(program, 'frontend', ([row]) => row !== undefined && row.rate > 0);
    stop(program);
    await program.until('the end', (output) => output.includes('Everything is closed.'));
    await program.exitCode();
  });
});
