import { type ChildProcess, spawn } from 'node:child_process';
import { createServer } from 'node:net';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { Client, Metadata, type ServiceError } from '@grpc/grpc-js';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { silentLogger } from '../../../../src/core/log.js';
import { seededRandom } from '../../../../src/core/random.js';
import { CLUSTER, ENDPOINT, LISTENER, ROUTE } from '../../../../src/core/resources.js';
import { type Mesh, meshClient } from '../../../../src/index.js';
import { pythonWithGrpc } from '../foreign-client.js';
import { type Backend, type Refusals, startBackend } from './backends.js';
import { type Outcome, PATHS, type PlannedCall } from './calls.js';
import { type Scenario, scenario } from './generate.js';
import { OpenAds } from '../../../support/open-ads.js';

/**
 * Generated listeners, routes, clusters and endpoints, the same for two clients: gRPC's C core and ours. The same calls by both, and the same backend, attempt
 * or status out of both. INMESH_DIFFERENTIAL_SEED and INMESH_DIFFERENTIAL_COUNT make another run than CI's.
 */
const python = pythonWithGrpc();
const SEED = Number(process.env['INMESH_DIFFERENTIAL_SEED'] ?? 20_261_121);
const COUNT = Number(process.env['INMESH_DIFFERENTIAL_COUNT'] ?? 150);
const BACKENDS = ['north', 'east', 'south', 'west'];

describe.skipIf(python === undefined)(`beside C-core, seed ${SEED}`, () => {
  const backends: Backend[] = [];
  const scenarios: Scenario[] = [];
  let ads: OpenAds;
  let mesh: Mesh;
  let judge: Judge;

  beforeAll(async () => {
    const ports: Record<string, number[]> = {};
    const refused: Refusals = new Map();
    for (const name of BACKENDS) {
      for (let i = 0; i < 3; i++) {
        const backend = await startBackend(name, refused);
        backends.push(backend);
        ports[name] = [...(ports[name] ?? []), backend.port];
      }
    }
    const world = { random: seededRandom(SEED), ports, deadPort: await closedPort() };
    for (let i = 0; i < COUNT; i++) scenarios.push(scenario(world, i));
    const all = (type: typeof LISTENER | typeof ROUTE | typeof CLUSTER | typeof ENDPOINT) =>
      scenarios.flatMap(({ resources }) => resources[type]);
    const started = await OpenAds.start({
      [LISTENER]: all(LISTENER),
      [ROUTE]: all(ROUTE),
      [CLUSTER]: all(CLUSTER),
      [ENDPOINT]: all(ENDPOINT),
    });
    ads = started.ads;
    mesh = meshClient({ xds: `127.0.0.1:${started.port}`, service: 'ours', logger: silentLogger });
    judge = await Judge.start(started.port);
  });

  afterAll(async () => {
    await mesh.close();
    judge.close();
    ads.close();
    for (const backend of backends) backend.close();
  });

  it('has the same outcome for every call', { timeout: 240_000 }, async () => {
    const calls = scenarios.flatMap((s) => s.calls.map((call) => ({ call, s })));
    const planned = calls.map(({ call }) => call);
    // One call of each target first, all at once: what does not exist is waited for, 15 s long, once.
    const first = scenarios.map(({ target }) => ({ target, path: PATHS[0], metadata: [], timeoutMs: 30_000 }));
    await Promise.all([judge.make(first), makeOurs(mesh, first)]);
    const [theirs, ours] = [await judge.make(planned), await makeOurs(mesh, planned)];
    const differences = calls.flatMap(({ call, s }, i) =>
      theirs[i] === ours[i] ? [] : [{ call, defect: s.defect, theirs: theirs[i], ours: ours[i] }],
    );
    if (process.env['INMESH_DIFFERENTIAL_VERBOSE'] !== undefined) {
      for (const difference of differences) console.log(JSON.stringify(difference));
      for (const [node, messages] of ads.refusals) console.log(node, [...messages].at(-1));
      const shown = new Set(differences.map(({ call }) => call.target));
      for (const { target, resources } of scenarios)
        if (shown.has(target)) console.log(target, JSON.stringify(resources));
    }
    expect(differences).toEqual([]);
    // What is compared is worth it: many kinds of ending, and most calls answered.
    const endings = new Set(theirs);
    expect(endings.size).toBeGreaterThan(8);
    expect(theirs.filter((outcome) => !outcome.startsWith('status')).length).toBeGreaterThan(planned.length / 4);
  });
});

/** The C core in a process of its own. */
class Judge {
  private constructor(
    private readonly child: ChildProcess,
    private readonly lines: AsyncIterator<string>,
    readonly version: string,
  ) {}

  static async start(port: number): Promise<Judge> {
    const bootstrap = {
      xds_servers: [{ server_uri: `127.0.0.1:${port}`, channel_creds: [{ type: 'insecure' }] }],
      node: { id: 'theirs' },
    };
    const { GRPC_XDS_BOOTSTRAP: _, ...inherited } = process.env;
    const child = spawn(python as string, [fileURLToPath(new URL('client.py', import.meta.url))], {
      stdio: ['pipe', 'pipe', 'inherit'],
      env: { ...inherited, GRPC_VERBOSITY: 'NONE', GRPC_XDS_BOOTSTRAP_CONFIG: JSON.stringify(bootstrap) },
    });
    const lines = createInterface({ input: child.stdout as NodeJS.ReadableStream })[Symbol.asyncIterator]();
    const { value } = await lines.next();
    return new Judge(child, lines, (JSON.parse(String(value)) as { version: string }).version);
  }

  async make(calls: readonly PlannedCall[]): Promise<Outcome[]> {
    this.child.stdin?.write(`${JSON.stringify(calls)}\n`);
    const { value } = await this.lines.next();
    return JSON.parse(String(value)) as Outcome[];
  }

  close(): void {
    this.child.kill();
  }
}

async function makeOurs(mesh: Mesh, calls: readonly PlannedCall[]): Promise<Outcome[]> {
  const outcomes: Outcome[] = new Array(calls.length);
  let next = 0;
  const worker = async (): Promise<void> => {
    for (let i = next++; i < calls.length; i = next++) outcomes[i] = await makeOne(mesh, calls[i] as PlannedCall, i);
  };
  await Promise.all(Array.from({ length: 200 }, worker));
  return outcomes;
}

function makeOne(mesh: Mesh, call: PlannedCall, id: number): Promise<Outcome> {
  const client = mesh.grpc(Client as never, call.target) as unknown as Client;
  const metadata = new Metadata();
  for (const [name, value] of call.metadata) metadata.add(name, name.endsWith('-bin') ? Buffer.from(value) : value);
  metadata.set('x-call-id', `js-${id}`);
  return new Promise((resolve) => {
    const deadline = Date.now() + call.timeoutMs;
    client.makeUnaryRequest(
      call.path,
      (bytes: Buffer) => bytes,
      String,
      Buffer.alloc(0),
      metadata,
      { deadline },
      (error: ServiceError | null, reply?: string) => resolve(error === null ? String(reply) : `status ${error.code}`),
    );
  });
}

/** A port that was free a moment ago. */
async function closedPort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as { port: number };
  await new Promise((resolve) => server.close(resolve));
  return port;
}
