import { afterEach, expect, test } from 'vitest';
import { http2Transport } from '../../../src/client/transport/http2/transport.js';
import { silentLogger } from '../../../src/core/log.js';
import { type ConnectionConfig, DEFAULT_CONNECTIONS } from '../../../src/core/model/connection.js';
import type { Transport } from '../../../src/core/transport.js';
import { CountingLimits } from '../../support/counting-limits.js';
import { FakeClock } from '../../support/fake-clock.js';
import { callOf, endpointAt, http2Server, type RunningServer, text, until } from '../../support/http2-fixture.js';

let server: RunningServer;
let transport: Transport;
let clock: FakeClock;
let pings: number;

/** One call has been made, and the connection stays. */
async function start(keepAlive: ConnectionConfig['keepAlive']): Promise<void> {
  pings = 0;
  clock = new FakeClock();
  server = await http2Server();
  server.server.on('session', (session) => session.on('ping', () => pings++));
  server.server.on('stream', (stream) => stream.respond({ ':status': 200 }, { endStream: true }));
  transport = http2Transport({
    endpoint: endpointAt(server.port),
    tls: undefined,
    connectTimeoutMs: 5_000,
    idleTimeoutMs: 300_000,
    limits: new CountingLimits(),
    connections: { ...DEFAULT_CONNECTIONS, keepAlive },
    clock,
    logger: silentLogger,
  });
  await text((await transport.call(callOf())).body);
}

afterEach(async () => {
  await transport.close(true);
  await server.close();
});

test('a cluster can ask for PINGs on connections without calls', async () => {
  await start({ intervalMs: 15_000, timeoutMs: 1_000, withoutCalls: true });
  for (let round = 1; round <= 3; round++) {
    const before = clock.pending;
    await clock.advance(15_000);
    await until(() => pings === round && clock.pending === before);
  }
  await clock.advance(14_999);
  expect([pings, transport.connections]).toEqual([3, 1]);
});

test('an interval below ten seconds is ten seconds', async () => {
  await start({ intervalMs: 10, timeoutMs: 1_000, withoutCalls: true });
  await clock.advance(9_999);
  expect(pings).toBe(0);
  await clock.advance(1);
  await until(() => pings === 1);
});

test('without settings none is sent', async () => {
  await start(undefined);
  await clock.advance(250_000);
  expect([pings, transport.connections]).toEqual([0, 1]);
});
