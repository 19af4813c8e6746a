/* How long from process start to the first answered call, and how much memory by then? Of the built package, as users get it. */
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { startControlPlane } from '../src/controlplane/index.js';
import { silentLogger } from '../src/core/log.js';
import { type Comparison, median, report, SMOKE } from './lib/compare.js';
import { startPeer } from './lib/peers.js';

const run = promisify(execFile);
const root = process.env['INMESH_ROOT'] ?? '.';
const program = join(root, 'bench', 'startup', 'first-call.mjs');
const folder = mkdtempSync(join(tmpdir(), 'inmesh-bench-'));

/** Mesh YAML with one service at `endpoint`. */
function configFor(name: string, endpoint: string): string {
  const file = join(folder, name);
  const service = { apiVersion: 'v1', kind: 'Service', metadata: { name: 'reviews' }, spec: { endpoints: [endpoint] } };
  writeFileSync(file, JSON.stringify(service));
  return file;
}

interface Start {
  readonly ms: number;
  readonly mb: number;
}

/** Medians of starts in turns. */
async function measure(kinds: Readonly<Record<string, string>>): Promise<Record<string, Start>> {
  const starts: Record<string, Start[]> = {};
  for (let round = 0; round < (SMOKE ? 1 : 9); round++) {
    for (const [kind, target] of Object.entries(kinds)) {
      const { stdout } = await run(process.execPath, [program, kind, target], { cwd: root });
      starts[kind] ??= [];
      starts[kind].push(JSON.parse(stdout) as Start);
    }
  }
  return Object.fromEntries(
    Object.entries(starts).map(([kind, all]) => [
      kind,
      { ms: median(all.map(({ ms }) => ms)), mb: median(all.map(({ mb }) => mb)) },
    ]),
  );
}

function comparison(
  question: string,
  unit: 'ms' | 'mb',
  starts: Record<string, Start>,
  budgets: Record<string, number> = {},
): Comparison {
  const names = Object.keys(starts);
  const base = starts[names[0] as string]?.[unit] as number;
  return {
    question,
    unit: unit === 'ms' ? 'milliseconds' : 'MB resident',
    rows: names.map((name) => {
      const value = starts[name]?.[unit] as number;
      const budget = budgets[name];
      return { name, value, ratio: value / base, ...(budget === undefined ? {} : { budget }) };
    }),
  };
}

const [web, rpc] = [await startPeer('http'), await startPeer('grpc')];
const plane = await startControlPlane({
  config: configFor('grpc.json', `127.0.0.1:${rpc.port}`),
  listen: '127.0.0.1:0',
  logger: silentLogger,
});
const embedded = await measure({
  'bare-undici': `127.0.0.1:${web.port}`,
  'mesh-services': `127.0.0.1:${web.port}`,
  'mesh-yaml': configFor('web.json', `127.0.0.1:${web.port}`),
});
const xds = await measure({
  'grpc-js-xds': `127.0.0.1:${plane.port}`,
  'mesh-xds': `127.0.0.1:${plane.port}`,
  'stock-grpc': `127.0.0.1:${rpc.port}`,
});
const more = (start: Start | undefined): string =>
  `+${((start?.ms ?? 0) - (embedded['bare-undici']?.ms ?? 0)).toFixed(0)} ms, +${((start?.mb ?? 0) - (embedded['bare-undici']?.mb ?? 0)).toFixed(1)} MB`;
console.log(
  `\nembedded, over bare undici (design.md: at most +60 ms, +15 MB): services ${more(embedded['mesh-services'])}; YAML file ${more(embedded['mesh-yaml'])}`,
);
report(
  comparison('Process start to first fetch, embedded configuration', 'ms', embedded),
  comparison('Memory at the first fetch, embedded configuration', 'mb', embedded),
  comparison('Process start to first gRPC call, configuration over xDS', 'ms', xds, { 'mesh-xds': 0.25 }),
  comparison('Memory at the first gRPC call, configuration over xDS', 'mb', xds, { 'mesh-xds': 0.5 }),
);
await plane.close();
web.stop();
rpc.stop();
rmSync(folder, { recursive: true });
