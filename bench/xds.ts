/*
 * What does it cost a client to take in 1,000 clusters of 10 endpoints, and then to follow one endpoint that changes? Time, CPU, memory, and how long the event loop
 * stands still; state of the world and delta, beside @grpc/grpc-js-xds on the same resources.
 */
import { execFile } from 'node:child_process';
import { request } from 'node:http';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { promisify } from 'node:util';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import * as grpc from '@grpc/grpc-js';
import { loadCodec } from '../src/xds/wire/codec.js';
import { type Comparison, median, report, SMOKE } from './lib/compare.js';
import { ECHO } from './lib/echo.js';
import { type Peer, startPeer } from './lib/peers.js';

const SIDES = ['@grpc/grpc-js-xds', 'mesh, state of the world', 'mesh, delta'] as const;
type Name = (typeof SIDES)[number];
const CLUSTERS = SMOKE ? 50 : 1_000;
/** Theirs takes a minute a round and a quarter of a second a change, and is not near. */
const CHANGES: Readonly<Record<Name, number>> = {
  '@grpc/grpc-js-xds': 20,
  'mesh, state of the world': SMOKE ? 20 : 200,
  'mesh, delta': SMOKE ? 20 : 200,
};
const ROUNDS: Readonly<Record<Name, number>> = {
  '@grpc/grpc-js-xds': 1,
  'mesh, state of the world': SMOKE ? 1 : 5,
  'mesh, delta': SMOKE ? 1 : 5,
};
const Echo = grpc.makeGenericClientConstructor(ECHO, 'Echo');

const METRICS = [
  [
    'Taking in 1,000 clusters × 10 endpoints, until the first call is answered and all is acknowledged',
    'milliseconds',
    'intakeMs',
  ],
  ['CPU for it', 'milliseconds', 'intakeCpuMs'],
  ['Longest pause of the event loop meanwhile', 'milliseconds', 'intakePauseMs'],
  ['Heap that it keeps', 'MB', 'heapMb'],
  ['One endpoint of them changes, until it is acknowledged', 'µs', 'changeUs'],
  ['CPU for one change', 'µs', 'changeCpuUs'],
  ['Longest pause of the event loop during the changes', 'milliseconds', 'changePauseMs'],
] as const;
type Measured = Readonly<Record<(typeof METRICS)[number][2], number>>;

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

const side = process.env['INMESH_BENCH_XDS'] as Name | undefined;
if (side === undefined) await compare();
else console.log(`MEASURED ${JSON.stringify(await measure(side))}`);

async function compare(): Promise<void> {
  const run = promisify(execFile);
  const measured = new Map<Name, Measured[]>(SIDES.map((name) => [name, []]));
  for (let round = 0; round < Math.max(...Object.values(ROUNDS)); round++) {
    for (const name of SIDES.filter((one) => round < ROUNDS[one])) {
      const { stdout } = await run(process.execPath, process.argv.slice(1), {
        env: { ...process.env, INMESH_BENCH_XDS: name },
      });
      measured.get(name)?.push(JSON.parse(/^MEASURED (.*)$/m.exec(stdout)?.[1] ?? '') as Measured);
    }
  }
  report(
    ...METRICS.map(([question, unit, key]): Comparison => {
      const values = SIDES.map((name) => median((measured.get(name) ?? []).map((one) => one[key])));
      return {
        question,
        unit,
        rows: SIDES.map((name, i) => ({
          name,
          value: values[i] as number,
          ratio: (values[i] as number) / (values[0] as number),
        })),
      };
    }),
  );
}

/** One client in this process, from nothing to the last change. */
async function measure(name: Name): Promise<Measured> {
  const backend = await startPeer('grpc');
  const plane = await startPeer('plane', String(backend.port), String(CLUSTERS));
  process.env['GRPC_XDS_BOOTSTRAP_CONFIG'] = JSON.stringify({
    xds_servers: [
      {
        server_uri: `127.0.0.1:${plane.port}`,
        channel_creds: [{ type: 'insecure' }],
        server_features: ['xds_v3'],
        api_type: name === 'mesh, delta' ? 'AGGREGATED_DELTA_GRPC' : 'AGGREGATED_GRPC',
      },
    ],
    node: { id: 'bench', locality: { zone: 'a' } },
  });
  const open = name === '@grpc/grpc-js-xds' ? await openTheirs() : await openOurs();
  collect();
  const heapBefore = process.memoryUsage().heapUsed;
  const [intakeMs, intakeCpuMs, intakePauseMs] = await timed(async () => {
    await unary(open());
    await ask(plane, '/settled');
  });
  collect();
  const heapMb = (process.memoryUsage().heapUsed - heapBefore) / 1_048_576;
  await ask(plane, `/change?count=${CHANGES[name]}`);
  const [changesMs, changesCpuMs, changePauseMs] = await timed(() => ask(plane, `/change?count=${CHANGES[name]}`));
  setImmediate(() => process.exit());
  return {
    intakeMs,
    intakeCpuMs,
    intakePauseMs,
    heapMb,
    changeUs: (changesMs * 1_000) / CHANGES[name],
    changeCpuUs: (changesCpuMs * 1_000) / CHANGES[name],
    changePauseMs,
  };
}

async function openTheirs(): Promise<() => grpc.Client> {
  const { register } = await import('@grpc/grpc-js-xds');
  register();
  return () => new Echo('xds:///shop', grpc.credentials.createInsecure());
}

async function openOurs(): Promise<() => grpc.Client> {
  const { meshClient } = await import('../src/index.js');
  // Loaded before the clock starts, as theirs is.
  await Promise.all([loadCodec(), import('../src/mesh/xds.js')]);
  return () => meshClient({ service: 'bench' }).grpc(Echo, 'shop');
}

/** Wall time, CPU time, and the longest that the loop did not turn, in milliseconds. */
async function timed(task: () => Promise<unknown>): Promise<[ms: number, cpuMs: number, pauseMs: number]> {
  const delay = monitorEventLoopDelay({ resolution: 1 });
  delay.enable();
  const [cpu, started] = [process.cpuUsage(), performance.now()];
  await task();
  const ms = performance.now() - started;
  const { user, system } = process.cpuUsage(cpu);
  delay.disable();
  return [ms, (user + system) / 1_000, delay.max / 1e6];
}

function unary(client: grpc.Client): Promise<unknown> {
  return new Promise((resolve, reject) => {
    client.makeUnaryRequest(
      ECHO.get.path,
      ECHO.get.requestSerialize,
      ECHO.get.responseDeserialize,
      Buffer.from('x'),
      // Theirs fails the first call otherwise.
      new grpc.Metadata({ waitForReady: true }),
      (error, reply) => (error === null ? resolve(reply) : reject(error)),
    );
  });
}

function ask(plane: Peer, path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    request({ host: '127.0.0.1', port: plane.control, path }, (response) =>
      response.resume().once('end', () => resolve()),
    )
      .once('error', reject)
      .end();
  });
}
