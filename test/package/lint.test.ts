import { execFile } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

const project = join(import.meta.dirname, '..', '..');

/** Files that break the rules, by path: every line that must be reported ends in `// bad`. */
const BIOME: Record<string, string> = {
  'src/client/time.ts': `
import { setTimeout as wait } from 'node:timers/promises'; // bad
import { monitorEventLoopDelay } from 'node:perf_hooks'; // bad
export const wall = Date.now(); // bad
export const date = new Date(); // bad
export const fixed = new Date(0);
export const monotonic = performance.now(); // bad
export const high = process.hrtime.bigint(); // bad
export const timeout = setTimeout(() => {}, 1); // bad
export const interval = setInterval(() => {}, 1); // bad
export const immediate = setImmediate(() => {}); // bad
export const global = globalThis.setTimeout(() => {}, 1); // bad
export const uses = [wait, monitorEventLoopDelay];
`,
  'src/client/chance.ts': `
export const drawn = Math.random(); // bad
export const generator = Math.random; // bad
export const floor = Math.floor(1.5);
`,
  'src/client/process.ts': `
console.log('printed'); // bad
process.exit(1); // bad
process.exitCode = 1;
`,
  'src/client/any.ts': `
export const anything: any = 1; // bad
export const something = (value: string | undefined): string => value!; // bad
`,
  'src/client/cycle-a.ts': `
import { b } from './cycle-b.js'; // bad
export const a = (): number => b();
`,
  'src/client/cycle-b.ts': `
import { a } from './cycle-a.js'; // bad
export const b = (): number => a();
`,
  // Where each is at home, it is allowed.
  'src/core/clock.ts': `
export const times = [Date.now(), performance.now(), setTimeout(() => {}, 1)];
`,
  'src/core/random.ts': `
export const drawn = Math.random();
`,
  'src/cli/main.ts': `
console.log('printed');
process.exit(1);
`,
  'test/time.test.ts': `
setTimeout(() => console.log(Date.now(), Math.random()), 1);
`,
};

const IMPORTS: Record<string, string> = {
  'src/core/x.ts': `
import type { X } from '../client/x.js'; // bad
export type Y = X;
`,
  'src/client/x.ts': `
import { bootstrap } from '../xds/bootstrap/x.js'; // bad
import { call } from '../core/call.js';
export type X = typeof bootstrap | typeof call | import('../proxy/index.js').P; // bad
`,
  'src/core/call.ts': 'export const call = 1;\n',
  // The folder is called client as well, but it is another one.
  'src/xds/source.ts': `
import { ads } from './client/ads.js';
export const load = (): unknown => [ads, import('../controlplane/index.js')]; // bad
`,
  'src/xds/client/ads.ts': `
import { call } from '../../core/call.js';
import { x } from '../../client/x.js'; // bad
import { Client } from '@grpc/grpc-js';
export const ads = [call, x, Client];
`,
  'src/xds/bootstrap/x.ts': 'export const bootstrap = 1;\n',
  'src/proxy/index.ts': 'export type P = 1;\n',
  'src/controlplane/index.ts': `
import { parse } from 'yaml';
export { bootstrap } from '../xds/bootstrap/x.js'; // bad
export default parse;
`,
  'src/resilience/retry/retry.ts': `
import { deadline } from '../deadline/deadline.js'; // bad
import { backoff } from './backoff.js';
import { shared } from '../shared.js';
export const retry = [deadline, backoff, shared];
`,
  'src/resilience/retry/backoff.ts': 'export const backoff = 1;\n',
  'src/resilience/deadline/deadline.ts': 'export const deadline = 1;\n',
  'src/resilience/shared.ts': 'export const shared = 1;\n',
  'src/mesh/mesh.ts': `
import type { Client } from '@grpc/grpc-js';
import { parse } from 'yaml'; // bad
export const lazily = (): Promise<unknown> => import('../xds/client/ads.js');
export const mesh = (client: Client): unknown => parse(String(client));
`,
  'src/index.ts': `
export * from './mesh/mesh.js';
`,
};

/** Lines, by file, that a rule must report. */
const expectedIn = (files: Record<string, string>): string[] =>
  Object.entries(files).flatMap(([file, text]) =>
    text.split('\n').flatMap((line, index) => (line.endsWith('// bad') ? [`${file}:${index + 1}`] : [])),
  );

let folder: string;

const write = (name: string, files: Record<string, string>): string => {
  for (const [file, text] of Object.entries(files)) {
    const path = join(folder, name, file);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, text);
  }
  return join(folder, name);
};

const node = (cwd: string, ...args: string[]): Promise<string> =>
  new Promise((resolve) => {
    execFile(process.execPath, args, { cwd }, (_error, stdout) => resolve(stdout));
  });

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'inmesh-lint-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe('lint', () => {
  test('Biome reports time, chance, console, process.exit, any and cycles where they do not belong, and nowhere else', async () => {
    const copy = write('biome', BIOME);
    for (const name of ['biome.json', 'lint', 'package.json']) {
      cpSync(join(project, name), join(copy, name), { recursive: true });
    }
    symlinkSync(join(project, 'node_modules'), join(copy, 'node_modules'), 'junction');
    const biome = join(project, 'node_modules', '@biomejs', 'biome', 'bin', 'biome');
    const report = await node(copy, biome, 'lint', '--reporter=github', '--max-diagnostics=none', 'src', 'test');
    const reported = [...report.matchAll(/^::error .*?file=(.*?),line=(\d+)/gm)].map(([, file, line]) => {
      const path = String(file).replaceAll('\\', '/');
      return `${path.slice(path.search(/(src|test)\/(?!.*\/(src|test)\/)/))}:${line}`;
    });
    expect([...new Set(reported)].sort()).toEqual(expectedIn(BIOME).sort());
  });

  test('imports against the direction of the layers are reported, and heavy packages on the way to the first call', async () => {
    const copy = write('imports', IMPORTS);
    const report = await node(copy, join(project, 'lint', 'imports.mjs'), copy);
    const reported = [...report.matchAll(/^(src\S+?):(\d+):\d+ /gm)].map(
      ([, file, line]) => `${String(file).replaceAll('\\', '/')}:${line}`,
    );
    expect(reported.sort()).toEqual(expectedIn(IMPORTS).sort());
    expect(report).toContain('client/ must not import xds/: it may import core, routing, resilience, identity');
    expect(report).toContain('resilience/retry must not know resilience/deadline');
    expect(report).toContain(
      '"yaml" is loaded with inmesh itself (index > mesh/mesh): use import() where it is needed',
    );
  });

  test('a folder without a line in the table of layers is reported', async () => {
    const copy = write('unknown', { 'src/stuff/x.ts': 'export const x = 1;\n' });
    expect(await node(copy, join(project, 'lint', 'imports.mjs'), copy)).toContain('"stuff" is no layer');
  });
});
