import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createServer as createTlsServer } from 'node:tls';
import { systemTls } from '../../../src/core/model/tls.js';
import { afterEach, describe, expect, test } from 'vitest';
import { type CheckedCluster, HealthChecker } from '../../../src/client/health/health-checker.js';
import { ConnectError } from '../../../src/client/transport/errors.js';
import type { HealthCheckConfig } from '../../../src/core/model/health-check.js';
import type { Transport, TransportOptions } from '../../../src/core/transport.js';
import { Checked, checkConfig, checkSurroundings, healthServer, httpCheck } from '../../support/health.js';
import { http2Server, until } from '../../support/http2-fixture.js';
import { selfSigned } from '../../support/self-signed.js';
import { answering, httpServer, tcpServer } from '../../support/http1-fixture.js';

const cleanUp: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of cleanUp.splice(0).reverse()) await close();
});
function track<T extends { close(): unknown }>(server: T): T {
  cleanUp.push(() => server.close());
  return server;
}

function checking(
  configs: HealthCheckConfig[],
  endpoints: (s: ReturnType<typeof checkSurroundings>) => Checked[],
  cluster: Partial<CheckedCluster> = {},
) {
  const s = checkSurroundings();
  const checker = new HealthChecker(configs, { name: 'reviews', tls: undefined, ...cluster }, s.env);
  cleanUp.push(() => checker.close());
  const list = endpoints(s);
  checker.update(list);
  const count = (name: string): number => s.gauges.read()[`mesh.health_check.${name} reviews`] as number;
  /** Lets the checks under way end, with real sockets. */
  const ended = (checks: number): Promise<void> => until(() => count('successes') + count('failures') >= checks);
  return { ...s, checker, endpoints: list, first: list[0] as Checked, count, ended };
}

describe('HTTP', () => {
  /** A server that answers with what is set here. */
  async function scriptedServer() {
    const answer = { status: 200, headers: {} as Record<string, string>, hold: false };
    const seen: { url: string | undefined; method: string | undefined; headers: NodeJS.Dict<string | string[]> }[] = [];
    const server = track(
      await httpServer((request, response) => {
        seen.push({ url: request.url, method: request.method, headers: request.headers });
        if (!answer.hold) response.writeHead(answer.status, answer.headers).end('body');
      }),
    );
    return { ...server, answer, seen };
  }

  test('an endpoint is taken out when it fails, and back when it passes; news is told', async () => {
    const server = await scriptedServer();
    const c = checking([checkConfig(httpCheck())], ({ clock }) => [new Checked(server.port, clock)]);
    expect(c.first.verdict).toBe('usable');
    await c.ended(1);
    expect(c.first.verdict).toBe('usable');
    expect(c.events).toEqual([]);
    server.answer.status = 500;
    await c.clock.advance(10_000);
    await c.ended(2);
    expect(c.first.verdict).toBe('unusable');
    server.answer.status = 200;
    await c.clock.advance(10_000);
    await c.ended(3);
    expect(c.first.verdict).toBe('unusable');
    await c.clock.advance(10_000);
    await c.ended(4);
    expect(c.first.verdict).toBe('usable');
    const event = { kind: 'health:changed', cluster: 'reviews', endpoint: c.first.key, by: 'http' };
    expect(c.events).toEqual([
      { ...event, healthy: false },
      { ...event, healthy: true },
    ]);
    expect(c.lines.filter(({ level }) => level !== 'debug')).toEqual([
      {
        level: 'warn',
        message: 'endpoint fails its health check',
        fields: {
          health_checker_type: 'HTTP',
          host: c.first.key,
          cluster_name: 'reviews',
          eject_unhealthy_event: { failure_type: 'ACTIVE' },
          detail: 'status 500',
        },
      },
      {
        level: 'info',
        message: 'endpoint passes its health check',
        fields: {
          health_checker_type: 'HTTP',
          host: c.first.key,
          cluster_name: 'reviews',
          add_healthy_event: { first_check: false },
        },
      },
    ]);
    expect(c.passed).toEqual([c.first.key, c.first.key]);
    expect([c.count('attempts'), c.count('successes'), c.count('failures'), c.count('healthy')]).toEqual([4, 3, 1, 1]);
  });

  test('asks as it is told: path, method, host and headers; one connection serves all checks', async () => {
    const server = await scriptedServer();
    const requestHeaders = {
      remove: ['user-agent'],
      set: [{ name: 'x-check', value: 'yes', action: 'append' as const }],
    };
    const config = checkConfig(httpCheck({ path: '/ready?x=1', method: 'POST', host: 'own.example', requestHeaders }));
    const c = checking([config], ({ clock }) => [new Checked(server.port, clock)]);
    await c.ended(1);
    await c.clock.advance(10_000);
    await c.ended(2);
    expect(server.seen[1]).toMatchObject({
      url: '/ready?x=1',
      method: 'POST',
      headers: { host: 'own.example', 'x-check': 'yes' },
    });
    expect(server.seen[0]?.headers['user-agent']).toBeUndefined();
    expect(server.accepted()).toBe(1);
  });

  test('the host is the endpoint’s own for checks, else the check’s, else the cluster’s name', async () => {
    const server = await scriptedServer();
    const more = { healthCheckHost: 'endpoint.example' };
    const c = checking([checkConfig(httpCheck({ host: 'own.example' }))], ({ clock }) => [
      new Checked(server.port, clock, more),
    ]);
    await c.ended(1);
    const d = checking([checkConfig(httpCheck())], ({ clock }) => [new Checked(server.port, clock)]);
    await d.ended(1);
    expect(server.seen.map(({ headers }) => headers['host'])).toEqual(['endpoint.example', 'reviews']);
    expect(server.seen[0]?.headers['user-agent']).toBe('inmesh/HC');
  });

  test('a connection for each check, where connections are not reused', async () => {
    const server = await scriptedServer();
    const config = checkConfig(httpCheck(), { reuseConnection: false });
    const c = checking([config], ({ clock }) => [new Checked(server.port, clock)]);
    await c.ended(1);
    await until(() => server.sockets.size === 0);
    await c.clock.advance(10_000);
    await c.ended(2);
    expect(server.accepted()).toBe(2);
    await until(() => server.sockets.size === 0);
  });

  test('the port is the endpoint’s own for checks, else the check’s', async () => {
    const server = await scriptedServer();
    const other = checkConfig(httpCheck(), { port: server.port });
    const c = checking([other], ({ clock }) => [new Checked('127.0.0.1:1', clock)]);
    await c.ended(1);
    expect(c.first.verdict).toBe('usable');
    const wrong = checkConfig(httpCheck(), { port: 1 });
    const d = checking([wrong], ({ clock }) => [new Checked('127.0.0.1:1', clock, { healthCheckPort: server.port })]);
    await d.ended(1);
    expect(d.first.verdict).toBe('usable');
  });

  test('x-envoy-degraded says that others are better', async () => {
    const server = await scriptedServer();
    server.answer.headers = { 'x-envoy-degraded': '' };
    const c = checking([checkConfig(httpCheck())], ({ clock }) => [new Checked(server.port, clock)]);
    await c.ended(1);
    expect(c.first.verdict).toBe('degraded');
    expect([c.count('degraded'), c.count('healthy')]).toEqual([1, 1]);
    server.answer.headers = {};
    await c.clock.advance(10_000);
    await c.ended(2);
    expect(c.first.verdict).toBe('usable');
  });

  test('no answer in time fails, cuts the connection, and the next check has a new one', async () => {
    const server = await scriptedServer();
    server.answer.hold = true;
    const c = checking([checkConfig(httpCheck())], ({ clock }) => [new Checked(server.port, clock)]);
    await until(() => server.seen.length === 1);
    await c.clock.advance(1_000);
    expect(c.first.verdict).toBe('unusable');
    expect(c.lines[0]?.fields).toMatchObject({
      health_check_failure_event: { failure_type: 'NETWORK_TIMEOUT', first_check: true },
    });
    await until(() => server.sockets.size === 0);
    server.answer.hold = false;
    await c.clock.advance(10_000);
    await c.ended(2);
    expect(server.accepted()).toBe(2);
  });

  test('nobody there is a failure of the network', async () => {
    const c = checking([checkConfig(httpCheck())], ({ clock }) => [new Checked('127.0.0.1:1', clock)]);
    await c.ended(1);
    expect(c.first.verdict).toBe('unusable');
    expect(c.count('network_failures')).toBe(1);
  });

  test('a body without end is not read to its end', async () => {
    const chunk = Buffer.alloc(16_384);
    const server = track(
      await httpServer((_request, response) => {
        const more = (): void => {
          while (!response.destroyed && response.write(chunk));
        };
        response.on('drain', more).on('error', () => {});
        more();
      }),
    );
    const c = checking([checkConfig(httpCheck())], ({ clock }) => [new Checked(server.port, clock)]);
    await c.ended(1);
    expect(c.first.verdict).toBe('usable');
    await until(() => server.sockets.size === 0);
  });

  test('a reply that breaks off is a failure of the network, whatever its head said', async () => {
    const server = track(
      await answering((socket) => {
        socket.write('HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nshort');
        socket.end();
      }),
    );
    const c = checking([checkConfig(httpCheck())], ({ clock }) => [new Checked(server.port, clock)]);
    await c.ended(1);
    expect(c.first.verdict).toBe('unusable');
    expect(c.count('network_failures')).toBe(1);
  });

  test('HTTP/2, where the check says so; statuses by half-open ranges', async () => {
    const server = track(await http2Server());
    let status = 299;
    server.server.on('stream', (stream) => {
      stream.respond({ ':status': status });
      stream.end();
    });
    const config = checkConfig(httpCheck({ http2: true, expected: [{ start: 200, end: 300 }] }));
    const c = checking([config], ({ clock }) => [new Checked(server.port, clock)]);
    await c.ended(1);
    expect(c.first.verdict).toBe('usable');
    expect(server.sessions.size).toBe(1);
    status = 300;
    await c.clock.advance(10_000);
    await c.ended(2);
    expect(c.first.verdict).toBe('unusable');
  });

  test('retriable statuses count towards the threshold', async () => {
    const server = await scriptedServer();
    const config = checkConfig(httpCheck({ retriable: [{ start: 503, end: 504 }] }), { unhealthyThreshold: 2 });
    const c = checking([config], ({ clock }) => [new Checked(server.port, clock)]);
    await c.ended(1);
    server.answer.status = 503;
    await c.clock.advance(10_000);
    await c.ended(2);
    expect(c.first.verdict).toBe('usable');
    await c.clock.advance(10_000);
    await c.ended(3);
    expect(c.first.verdict).toBe('unusable');
  });

  test('what a call heard counts at once: x-envoy-immediate-health-check-fail', async () => {
    const server = await scriptedServer();
    const c = checking([checkConfig(httpCheck())], ({ clock }) => [new Checked(server.port, clock)]);
    await c.ended(1);
    c.checker.failNow(c.first.key);
    c.checker.failNow('nobody');
    expect(c.first.verdict).toBe('unusable');
    expect([c.count('attempts'), c.count('passive_failures')]).toEqual([1, 1]);
  });
});

describe('gRPC', () => {
  const grpcCheck = (service = '', authority?: string) => checkConfig({ kind: 'grpc', service, authority });

  test('SERVING passes, anything else is unhealthy at once', async () => {
    const server = track(await healthServer());
    const c = checking([grpcCheck('orders')], ({ clock }) => [new Checked(server.port, clock)]);
    await c.ended(1);
    // NOT_FOUND: the server does not know the service.
    expect(c.first.verdict).toBe('unusable');
    server.statuses.set('orders', 'SERVING');
    for (let checks = 2; checks <= 3; checks++) {
      await c.clock.advance(10_000);
      await c.ended(checks);
    }
    expect(c.first.verdict).toBe('usable');
    server.statuses.set('orders', 'NOT_SERVING');
    await c.clock.advance(10_000);
    await c.ended(4);
    expect(c.first.verdict).toBe('unusable');
    expect(c.lines.at(-1)?.fields['detail']).toBe('NOT_SERVING');
    expect(server.asked).toEqual(['orders', 'orders', 'orders', 'orders']);
  });

  test('a server without the health service is unhealthy: UNIMPLEMENTED', async () => {
    const server = track(await healthServer([]));
    const c = checking([grpcCheck()], ({ clock }) => [new Checked(server.port, clock)]);
    await c.ended(1);
    expect(c.first.verdict).toBe('unusable');
    expect(c.lines.at(-1)?.fields['detail']).toContain('gRPC status 12');
  });

  test.each([
    ['no gRPC at all', (send: (status: number) => void) => send(200)],
    ['an HTTP status', (send: (status: number) => void) => send(404)],
  ])('%s is unhealthy', async (_name, answer) => {
    const server = track(await http2Server());
    server.server.on('stream', (stream) => {
      answer((status) => stream.respond({ ':status': status, 'content-type': 'text/html' }));
      stream.end('<html>');
    });
    const c = checking([grpcCheck()], ({ clock }) => [new Checked(server.port, clock)]);
    await c.ended(1);
    expect(c.first.verdict).toBe('unusable');
    expect(c.count('network_failures')).toBe(0);
  });

  test('the server is told the authority and how long it is waited for', async () => {
    const server = track(await http2Server());
    const heads: NodeJS.Dict<string | string[]>[] = [];
    server.server.on('stream', (stream, headers) => {
      heads.push(headers);
      stream.respond({ ':status': 200, 'content-type': 'application/grpc', 'grpc-status': '0' }, { endStream: true });
    });
    const c = checking([grpcCheck('', 'health.example')], ({ clock }) => [new Checked(server.port, clock)]);
    await c.ended(1);
    expect(heads[0]).toMatchObject({
      ':path': '/grpc.health.v1.Health/Check',
      ':authority': 'health.example',
      'grpc-timeout': '1000m',
    });
    // OK without a response.
    expect(c.first.verdict).toBe('unusable');
  });
});

describe('TCP', () => {
  const tcpCheck = (send = '', ...receive: string[]) =>
    ({ kind: 'tcp', send: Buffer.from(send), receive: receive.map((text) => Buffer.from(text)) }) as const;

  test('to connect is enough, and the connection is closed', async () => {
    const server = track(await tcpServer(() => {}));
    const c = checking([checkConfig(tcpCheck())], ({ clock }) => [new Checked(server.port, clock)]);
    await c.ended(1);
    expect(c.first.verdict).toBe('usable');
    await until(() => server.accepted() === 1 && server.sockets.size === 0);
  });

  test('bytes go out, and blocks must come back in order, over one connection', async () => {
    const server = track(
      await tcpServer((socket) => {
        socket.on('data', () => {
          socket.write('..PO');
          socket.write('NG..OK');
        });
      }),
    );
    const c = checking([checkConfig(tcpCheck('PING', 'PONG', 'OK'))], ({ clock }) => [new Checked(server.port, clock)]);
    await c.ended(1);
    expect(c.first.verdict).toBe('usable');
    await c.clock.advance(10_000);
    await c.ended(2);
    expect([c.count('successes'), server.accepted()]).toEqual([2, 1]);
    // The server closes it between two checks: the next one connects.
    for (const socket of server.sockets) socket.destroy();
    await until(() => server.sockets.size === 0);
    await c.clock.advance(10_000);
    await c.ended(3);
    expect([c.count('successes'), server.accepted()]).toEqual([3, 2]);
    c.checker.close();
    await until(() => server.sockets.size === 0);
  });

  test('blocks in the wrong order are waited for in vain', async () => {
    const server = track(await tcpServer((socket) => void socket.write('OK PONG')));
    const config = checkConfig(tcpCheck('', 'PONG', 'OK'));
    const c = checking([config], ({ clock }) => [new Checked(server.port, clock)]);
    await until(() => server.accepted() === 1);
    await c.clock.advance(1_000);
    expect(c.lines[0]?.fields).toMatchObject({ health_check_failure_event: { failure_type: 'NETWORK_TIMEOUT' } });
    await until(() => server.sockets.size === 0);
  });

  test('more than 64 KiB without them is a failure', async () => {
    const server = track(await tcpServer((socket) => void socket.write(Buffer.alloc(100_000))));
    const c = checking([checkConfig(tcpCheck('', 'PONG'))], ({ clock }) => [new Checked(server.port, clock)]);
    await c.ended(1);
    expect(c.first.verdict).toBe('unusable');
  });

  test('nobody there, or a server that hangs up, is a failure of the network', async () => {
    const server = track(await tcpServer((socket) => socket.destroy()));
    const c = checking([checkConfig(tcpCheck('', 'x'))], ({ clock }) => [
      new Checked(server.port, clock),
      new Checked('127.0.0.1:1', clock),
    ]);
    await c.ended(2);
    expect(c.count('network_failures')).toBe(2);
  });

  test('speaks TLS as the cluster does, and trusts nobody whom it does not know', async (context) => {
    const folder = mkdtempSync(join(tmpdir(), 'inmesh-check-'));
    cleanUp.push(() => rmSync(folder, { recursive: true }));
    const files = selfSigned(folder, 'reviews');
    if (files === undefined) return context.skip();
    const tls = createTlsServer({ cert: readFileSync(files.cert), key: readFileSync(files.key) });
    tls.on('tlsClientError', () => {});
    await new Promise<void>((resolve) => tls.listen(0, '127.0.0.1', resolve));
    cleanUp.push(() => new Promise((resolve) => tls.close(resolve)));
    const { port } = tls.address() as AddressInfo;
    const checks = [checkConfig(tcpCheck()), checkConfig(httpCheck()), checkConfig(httpCheck({ http2: true }))];
    const c = checking(checks, ({ clock }) => [new Checked(port, clock)], { tls: systemTls('reviews') });
    await c.ended(3);
    expect(c.count('network_failures')).toBe(3);
    const warnings = c.lines.filter(({ level }) => level === 'warn');
    expect(warnings).toHaveLength(3);
    for (const { fields } of warnings) expect(fields['detail']).toMatch(/self.signed/);
  });

  test('the next address is tried when one does not connect', async () => {
    const server = track(await tcpServer(() => {}));
    const addresses = [
      { host: '127.0.0.1', port: 1 },
      { host: '127.0.0.1', port: server.port },
    ] as const;
    const c = checking([checkConfig(tcpCheck())], ({ clock }) => [
      new Checked('127.0.0.1:1', clock, { addresses: [...addresses] }),
    ]);
    await c.ended(1);
    expect(c.first.verdict).toBe('usable');
  });
});

describe('endpoints that come and go', () => {
  test('a newcomer among healthy ones waits for its first check, and is taken out of use again when it leaves', async () => {
    const server = track(await httpServer((_request, response) => void response.end()));
    const c = checking([checkConfig(httpCheck())], ({ clock }) => [new Checked(server.port, clock)]);
    await c.ended(1);
    const newcomer = new Checked(server.port, c.clock, { key: 'newcomer' });
    c.checker.update([c.first, newcomer]);
    expect(newcomer.verdict).toBe('unusable');
    await c.ended(2);
    expect(newcomer.verdict).toBe('usable');
  });

  test('what was found goes over to another object of the same key', async () => {
    const c = checking([checkConfig(httpCheck())], ({ clock }) => [new Checked('127.0.0.1:1', clock)]);
    await c.ended(1);
    const other = new Checked('127.0.0.1:1', c.clock);
    c.checker.update([other]);
    expect(other.verdict).toBe('unusable');
    expect(c.count('failures')).toBe(1);
  });

  test('one that is gone is not checked any more', async () => {
    const c = checking([checkConfig(httpCheck())], ({ clock }) => [new Checked('127.0.0.1:1', clock)]);
    await c.ended(1);
    c.checker.update([]);
    await c.clock.advance(60_000);
    expect(c.count('failures')).toBe(1);
    expect(c.clock.pending).toBe(0);
  });

  test('another port for checks is asked at once; until it answers, what was found stands', async () => {
    const server = track(await httpServer((_request, response) => void response.end()));
    const c = checking([checkConfig(httpCheck())], ({ clock }) => [new Checked('127.0.0.1:1', clock)]);
    await c.ended(1);
    c.first.config = { ...c.first.config, healthCheckPort: server.port };
    c.checker.update([c.first]);
    expect(c.first.verdict).toBe('unusable');
    await c.ended(2);
    expect(c.first.verdict).toBe('usable');
  });
});

describe('several checks of a cluster', () => {
  test('all must pass; one that has not ended yet says nothing', async () => {
    const server = track(await httpServer((_request, response) => void response.end()));
    const silent = track(await tcpServer(() => {}));
    const configs = [
      checkConfig(httpCheck()),
      checkConfig({ kind: 'tcp', send: new Uint8Array(0), receive: [Buffer.from('x')] }, { port: silent.port }),
    ];
    const c = checking(configs, ({ clock }) => [new Checked(server.port, clock)]);
    await c.ended(1);
    expect(c.first.verdict).toBe('usable');
    expect(c.passed).toEqual([]);
    await until(() => silent.accepted() === 1);
    await c.clock.advance(1_000);
    expect(c.first.verdict).toBe('unusable');
  });
});

describe('updates of the configuration', () => {
  test('other checks begin at once, and what was found stands until they have ended', async () => {
    const server = track(await httpServer((_request, response) => void response.end()));
    const c = checking([checkConfig(httpCheck(), { port: 1 })], ({ clock }) => [new Checked(server.port, clock)]);
    await c.ended(1);
    c.checker.configure([checkConfig(httpCheck())], { name: 'reviews', tls: undefined });
    expect(c.first.verdict).toBe('unusable');
    await c.ended(2);
    expect(c.first.verdict).toBe('usable');
  });

  test('the same checks go on as they were', async () => {
    const c = checking([checkConfig(httpCheck())], ({ clock }) => [new Checked('127.0.0.1:1', clock)]);
    await c.ended(1);
    c.checker.configure([checkConfig(httpCheck())], { name: 'reviews', tls: undefined });
    await c.clock.advance(9_999);
    expect(c.count('failures')).toBe(1);
  });
});

test('a thousand endpoints: no more than 64 begin in 10 ms, and the second checks spread over the interval', async () => {
  const s = checkSurroundings();
  const begunAt = new Map<string, number[]>();
  const unreachable = ({ endpoint }: TransportOptions): Transport => ({
    connections: 0,
    call: () => {
      const since = s.clock.now() - 1_000;
      begunAt.set(endpoint.key, [...(begunAt.get(endpoint.key) ?? []), since]);
      return Promise.reject(new ConnectError(endpoint.key, 'refused'));
    },
    connect: async () => {},
    close: async () => {},
  });
  const env = { ...s.env, transports: { http1: unreachable, http2: unreachable } };
  const checker = new HealthChecker([checkConfig(httpCheck())], { name: 'reviews' }, env);
  checker.update(Array.from({ length: 1_000 }, (_, i) => new Checked(`10.0.0.1:${i + 1}`, s.clock)));
  await s.clock.advance(10_200);
  const firsts = [...begunAt.values()].map(([first]) => first as number);
  const inTurn = (turn: number): number => firsts.filter((at) => at === turn * 10).length;
  expect(Array.from({ length: 16 }, (_, turn) => inTurn(turn))).toEqual([...Array<number>(15).fill(64), 40]);
  const seconds = [...begunAt.values()].map(([, second]) => second as number);
  const inSecond = (n: number): number => seconds.filter((at) => Math.floor(at / 1_000) === n).length;
  // 100 each in the mean, with a deviation of 9.5: five of them on either side.
  for (let n = 1; n < 10; n++) expect(Math.abs(inSecond(n) - 100)).toBeLessThan(48);
  checker.close();
  expect(s.clock.pending).toBe(0);
});

test('close gives up checks under way, closes connections, and leaves no timer and no gauge', async () => {
  const server = track(await httpServer(() => {}));
  const c = checking(
    [checkConfig(httpCheck()), checkConfig({ kind: 'grpc', service: '', authority: undefined })],
    ({ clock }) => [new Checked(server.port, clock), new Checked('127.0.0.1:1', clock)],
  );
  await until(() => server.sockets.size > 0);
  c.checker.close();
  expect(c.endpoints.map(({ verdict }) => verdict)).toEqual(['usable', 'usable']);
  expect(c.gauges.size).toBe(0);
  await until(() => server.sockets.size === 0);
  expect(c.clock.pending).toBe(0);
});
