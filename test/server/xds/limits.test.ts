import * as grpc from '@grpc/grpc-js';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { Deadlines } from '../../../src/core/deadlines.js';
import { silentLogger } from '../../../src/core/log.js';
import { noMeter } from '../../../src/core/meter.js';
import { type Address, addressKey } from '../../../src/core/model/endpoint.js';
import { DEFAULT_LIMIT_REPLY, type LimitRule } from '../../../src/core/model/limit.js';
import { seededRandom } from '../../../src/core/random.js';
import { type ServeOptions, type Serving, serveXds } from '../../../src/server/xds/index.js';
import { type TestMesh, testMesh } from '../../../src/testing/index.js';
import { FakeClock } from '../../support/fake-clock.js';
import { type ServerFace, SERVER_FACES } from '../../support/server-faces.js';
import { chain, freeAddress, listener, route, ScriptedConfig, table, until } from './support.js';

/** Limits of routes, kept by servers under configuration, with time in the test's hands. */

const rule = (fields: Partial<LimitRule> = {}): LimitRule => ({
  name: 'rule',
  key: [],
  limit: { algorithm: 'token_bucket', requests: 1, perMs: 10_000, burst: 1 },
  mode: 'enforce',
  store: { kind: 'local' },
  onStoreFailure: 'local',
  ...fields,
});
const QUEUE = { maxWaitMs: 60_000, maxLength: 1 };

let clock: FakeClock;
let mesh: TestMesh;
let deadlines: Deadlines;
let serving: Serving | undefined;
let address: Address;
let config: ScriptedConfig;
beforeEach(async () => {
  clock = new FakeClock();
  mesh = testMesh({ services: {}, clock });
  deadlines = new Deadlines(clock);
  address = await freeAddress();
  config = new ScriptedConfig();
});
afterEach(async () => {
  await serving?.close({ graceMs: 0 });
  deadlines.close();
  await mesh.close();
  expect(clock.pending).toBe(0);
});

async function start(face: ServerFace, limited: LimitRule, options: Partial<ServeOptions> = {}) {
  let runs = 0;
  const { limits, tls } = mesh.servers;
  serving = serveXds(
    face.server(() => runs++),
    { address: addressKey(address), onServingMode: () => {}, ...options },
    {
      watch: config.watch,
      clock,
      random: seededRandom(1),
      logger: silentLogger,
      deadlines,
      meter: noMeter,
      limits,
      tls,
    },
  );
  put(limited);
  await serving.ready();
  return { ask: (headers?: Readonly<Record<string, string>>) => face.ask(address, '/', headers), runs: () => runs };
}

function put(...rules: LimitRule[]): void {
  const limited = { ...route('/'), limits: { rules, ...DEFAULT_LIMIT_REPLY } };
  config.changed(
    listener(address, { defaultFilterChain: chain('all', {}, { routes: { kind: 'rds', name: 'routes' } }) }),
    { routes: table([limited]) },
  );
}

describe.each(Object.entries(SERVER_FACES))('%s', (name, face) => {
  const OK = name === 'grpc-js' ? 0 : 200;
  const REFUSED = name === 'grpc-js' ? grpc.status.RESOURCE_EXHAUSTED : 429;
  const status = async (asked: ReturnType<ServerFace['ask']>): Promise<number> => (await asked.told).status;

  test('a request in line is handed on when its turn comes, and what is beyond the line is refused', async () => {
    const { ask, runs } = await start(face, rule({ queue: QUEUE }));
    expect(await status(ask())).toBe(OK);
    const idle = clock.pending;
    const waiting = ask();
    await until(() => clock.pending > idle);
    expect(await status(ask())).toBe(REFUSED);
    expect(runs()).toBe(1);
    clock.advance(10_000);
    const { status: told, headers } = await waiting.told;
    expect([told, headers['x-ratelimit-remaining'], runs()]).toEqual([OK, '0', 2]);
  });

  test('a request in line leaves with its client, and its handler does not run', async () => {
    const { ask, runs } = await start(face, rule({ queue: QUEUE }));
    await ask().told;
    const idle = clock.pending;
    const waiting = ask();
    await until(() => clock.pending > idle);
    waiting.leave();
    await until(() => clock.pending === idle);
    clock.advance(20_000);
    expect([await status(ask()), runs()]).toEqual([OK, 2]);
  });

  test('counts outlive an update of the routes, and who waits goes on waiting', async () => {
    const limited = rule({ queue: QUEUE });
    const { ask } = await start(face, limited);
    await ask().told;
    const idle = clock.pending;
    const waiting = ask();
    await until(() => clock.pending > idle);
    put(rule({ queue: { ...QUEUE, maxLength: 2 } }));
    const second = ask();
    await until(() => clock.pending > idle);
    clock.advance(10_000);
    expect(await status(waiting)).toBe(OK);
    await until(() => clock.pending > idle);
    clock.advance(10_000);
    expect(await status(second)).toBe(OK);
  });

  test('requests count by who the application says makes them', async () => {
    const asked: string[] = [];
    const caller: ServeOptions['caller'] = ({ protocol, path, headers }) => {
      asked.push(`${protocol} ${path}`);
      return Promise.resolve({ principal: String(headers['x-token']) });
    };
    const { ask } = await start(face, rule({ key: [{ kind: 'identity', as: 'identity' }] }), { caller });
    const statuses = [];
    for (const token of ['ann', 'ann', 'bob']) statuses.push(await status(ask({ 'x-token': token })));
    expect(statuses).toEqual([OK, REFUSED, OK]);
    expect(asked).toHaveLength(3);
    expect(asked[0]).toBe(name === 'grpc-js' ? 'grpc /test/Get' : 'http /');
  });

  test('clients behind a trusted proxy count by their own addresses', async () => {
    const { ask } = await start(face, rule({ key: [{ kind: 'remote_address', as: 'remote_address' }] }), {
      trustedProxies: 1,
    });
    const statuses = [];
    for (const from of ['1.1.1.1', '1.1.1.1', '2.2.2.2']) {
      statuses.push(await status(ask({ 'x-forwarded-for': `6.6.6.6, ${from}` })));
    }
    expect(statuses).toEqual([OK, REFUSED, OK]);
  });
});
