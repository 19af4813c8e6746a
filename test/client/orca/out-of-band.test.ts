import type { ServerHttp2Stream } from 'node:http2';
import { afterEach, describe, expect, test } from 'vitest';
import { encodeFrame } from '../../../src/client/grpc/framing.js';
import { UNLIMITED } from '../../../src/client/health/probe.js';
import { OutOfBandReports, type ReportingEndpoint } from '../../../src/client/orca/out-of-band.js';
import { http2Transport } from '../../../src/client/transport/http2/transport.js';
import { type BackendMetrics, emptyMetrics } from '../../../src/core/orca-report.js';
import { encodeOrcaReport } from '../../../src/core/orca-write.js';
import { seededRandom } from '../../../src/core/random.js';
import type { Transport } from '../../../src/core/transport.js';
import { reportIntervalMs } from '../../../src/server/orca/report-request.js';
import { anEndpoint } from '../../support/endpoints.js';
import { FakeClock } from '../../support/fake-clock.js';
import { http2Server, until } from '../../support/http2-fixture.js';
import { recorderOf } from '../../support/load.js';
import { orcaServer } from '../../support/orca-server.js';
import { recordingLogger } from '../../support/outliers.js';

const cleanUp: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of cleanUp.splice(0).reverse()) await close();
});

/** An endpoint with real connections. */
class Reporting implements ReportingEndpoint {
  readonly config: ReturnType<typeof anEndpoint>;
  #transport: Transport | undefined;

  constructor(
    port: number,
    private readonly clock: FakeClock,
    hostname?: string,
  ) {
    this.config = anEndpoint(`127.0.0.1:${port}`, { hostname });
    cleanUp.push(() => this.#transport?.close(true));
  }

  get key(): string {
    return this.config.key;
  }

  get connections(): number {
    return this.#transport?.connections ?? 0;
  }

  transport(): Transport {
    this.#transport ??= http2Transport({
      endpoint: this.config,
      tls: undefined,
      connectTimeoutMs: 1_000,
      idleTimeoutMs: 300_000,
      limits: UNLIMITED,
      clock: this.clock,
      logger: recordingLogger().logger,
    });
    return this.#transport;
  }

  /** New calls go over new connections. The result ends when those that are open are closed. */
  reconnect(): Promise<void> {
    const transport = this.#transport;
    this.#transport = undefined;
    return transport?.close() ?? Promise.resolve();
  }
}

function listening() {
  const clock = new FakeClock();
  const { logger, lines } = recordingLogger();
  const reports = new OutOfBandReports<Reporting>(() => ({ name: 'reviews' }), {
    clock,
    random: seededRandom(1),
    logger,
  });
  const heard: number[] = [];
  const on = (endpoint: Reporting, periodMs: number, into: number[] = heard) =>
    reports.subscribe(endpoint, periodMs, ({ cpuUtilization }: BackendMetrics) => into.push(cpuUtilization));
  return { clock, lines, reports, heard, on };
}

/** A server that does with each stream what a test says. */
async function scripted(serve: (stream: ServerHttp2Stream, intervalMs: number | undefined) => void) {
  const server = await http2Server();
  cleanUp.push(() => server.close());
  const heads: Record<string, unknown>[] = [];
  const open = new Set<ServerHttp2Stream>();
  server.server.on('stream', (stream, head) => {
    heads.push({ path: head[':path'], authority: head[':authority'], type: head['content-type'] });
    open.add(stream);
    stream.on('close', () => open.delete(stream));
    const chunks: Buffer[] = [];
    stream.on('data', (chunk: Buffer) => chunks.push(chunk));
    stream.on('end', () => serve(stream, reportIntervalMs(Buffer.concat(chunks).subarray(5))));
  });
  return { ...server, heads, open };
}

const say = (stream: ServerHttp2Stream, cpuUtilization: number): void => {
  if (!stream.headersSent)
    stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true });
  stream.write(encodeFrame(encodeOrcaReport({ ...emptyMetrics(), cpuUtilization }), false));
};
const end = (stream: ServerHttp2Stream, status: number): void =>
  stream.respond({ ':status': 200, 'content-type': 'application/grpc', 'grpc-status': status }, { endStream: true });

describe('load reports out of band', () => {
  test('come from a grpc-js server, at the period asked for, until nobody listens', async () => {
    const { recorder } = recorderOf();
    const l = listening();
    const server = await orcaServer({ recorder, clock: l.clock, minIntervalMs: 1_000 });
    cleanUp.push(server.close);
    const endpoint = new Reporting(server.port, l.clock);
    recorder.setCpuUtilization(0.1);
    const stop = l.on(endpoint, 5_000);
    await until(() => l.heard.length === 1);
    recorder.setCpuUtilization(0.2);
    await l.clock.advance(5_000);
    await until(() => l.heard.length === 2);
    expect(l.heard).toEqual([0.1, 0.2]);
    stop();
    stop();
    await endpoint.reconnect();
    await until(() => l.clock.pending === 0);
  });

  test('are asked of the endpoint by its own name, else by that of the cluster', async () => {
    const l = listening();
    const server = await scripted((stream) => say(stream, 1));
    l.on(new Reporting(server.port, l.clock), 1_000);
    l.on(new Reporting(server.port, l.clock, 'reviews-1.example'), 1_000);
    await until(() => l.heard.length === 2);
    const asked = { path: '/xds.service.orca.v3.OpenRcaService/StreamCoreMetrics', type: 'application/grpc' };
    expect(server.heads).toEqual([
      { ...asked, authority: 'reviews' },
      { ...asked, authority: 'reviews-1.example' },
    ]);
  });

  test('with several listeners one stream serves all, at the shortest period', async () => {
    const l = listening();
    const asked: (number | undefined)[] = [];
    const server = await scripted((stream, intervalMs) => {
      asked.push(intervalMs);
      say(stream, asked.length);
    });
    const endpoint = new Reporting(server.port, l.clock);
    const others: number[] = [];
    const stopFirst = l.on(endpoint, 10_000);
    await until(() => asked.length === 1 && l.heard.length === 1);
    l.on(endpoint, 20_000, others);
    const stopThird = l.on(endpoint, 5_000, others);
    await until(() => others.length === 2);
    expect(l.heard).toEqual([1, 2]);
    expect(others).toEqual([2, 2]);
    stopThird();
    await until(() => asked.length === 3);
    stopFirst();
    await until(() => asked.length === 4);
    expect(asked).toEqual([10_000, 5_000, 10_000, 20_000]);
    await until(() => server.open.size === 1);
  });

  test('are asked for no more where there is no such service, and that is told of once', async () => {
    const l = listening();
    const bare = await orcaServer(undefined);
    cleanUp.push(bare.close);
    const server = await scripted((stream) => stream.respond({ ':status': 404 }, { endStream: true }));
    l.on(new Reporting(bare.port, l.clock), 1_000);
    await until(() => l.lines.length === 1);
    l.on(new Reporting(server.port, l.clock), 1_000);
    await until(() => server.heads.length === 1 && server.open.size === 0);
    await l.clock.advance(200_000);
    expect(server.heads).toHaveLength(1);
    expect(l.lines).toEqual([
      {
        level: 'error',
        message: expect.stringContaining('has no xds.service.orca.v3.OpenRcaService'),
        fields: { cluster_name: 'reviews', host: `127.0.0.1:${bare.port}` },
      },
    ]);
  });

  test('are asked for again over another connection: the server may have got the service meanwhile', async () => {
    const l = listening();
    const bare = await orcaServer(undefined);
    const endpoint = new Reporting(bare.port, l.clock);
    l.on(endpoint, 1_000);
    await until(() => l.lines.length === 1);
    expect(endpoint.connections).toBe(1);
    bare.close();
    await until(() => endpoint.connections === 0);
    const { recorder } = recorderOf();
    recorder.setCpuUtilization(0.5);
    const upgraded = await orcaServer({ recorder, clock: l.clock, minIntervalMs: 60_000 }, { port: bare.port });
    cleanUp.push(upgraded.close);
    while (l.heard.length === 0) await l.clock.advance(1_000);
    expect(l.heard[0]).toBe(0.5);
    expect(l.lines).toHaveLength(1);
  });

  test('of an endpoint without the service that nobody wants any more are not asked for when its connection ends', async () => {
    const l = listening();
    const server = await scripted((stream) => end(stream, 12));
    const endpoint = new Reporting(server.port, l.clock);
    const stop = l.on(endpoint, 1_000);
    await until(() => l.lines.length === 1);
    stop();
    await endpoint.reconnect();
    await until(() => server.sessions.size === 0);
    await l.clock.advance(300_000);
    expect([server.heads.length, endpoint.connections, l.clock.pending]).toEqual([1, 0, 0]);
  });

  test('are asked for less and less often of a server without the service that hangs up each time', async () => {
    const l = listening();
    const server = await scripted((stream) => {
      end(stream, 12);
      stream.session?.close();
    });
    l.on(new Reporting(server.port, l.clock), 1_000);
    const ended = async (count: number) => {
      await until(() => server.heads.length === count && server.sessions.size === 0);
      await l.clock.advance(0);
    };
    await ended(1);
    for (const [i, ms] of [1_000, 1_600, 2_560].entries()) {
      await l.clock.advance(ms * 0.79);
      expect(server.heads).toHaveLength(i + 1);
      await l.clock.advance(ms * 0.42);
      await ended(i + 2);
    }
    expect(l.lines).toHaveLength(1);
  });

  test('that break off are asked for again, later each time, and soon once there was a report', async () => {
    const l = listening();
    let reports = false;
    const server = await scripted((stream) => {
      if (!reports) return end(stream, 14);
      say(stream, 1);
      stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '14' }));
      stream.end();
    });
    const endpoint = new Reporting(server.port, l.clock);
    l.on(endpoint, 1_000);
    const ended = async (count: number) => {
      await until(() => server.heads.length === count && server.open.size === 0);
      await l.clock.advance(0);
    };
    await ended(1);
    // 1 s, 1.6 s, 2.56 s, each ± 20 %.
    for (const [i, ms] of [1_000, 1_600, 2_560].entries()) {
      await l.clock.advance(ms * 0.79);
      expect(server.heads).toHaveLength(i + 1);
      reports = i === 2;
      await l.clock.advance(ms * 0.42);
      await ended(i + 2);
    }
    await until(() => l.heard.length === 1);
    await l.clock.advance(1_000);
    await ended(5);
  });

  test.each([
    ['no report', (stream: ServerHttp2Stream) => stream.end(encodeFrame(Uint8Array.of(0x09, 1), false))],
    ['compressed', (stream: ServerHttp2Stream) => stream.end(encodeFrame(new Uint8Array(0), true))],
    ['no gRPC', (stream: ServerHttp2Stream) => stream.end('hello, world')],
  ])('that are %s break the stream off, and it is asked for again', async (_what, serve) => {
    const l = listening();
    const server = await scripted((stream) => {
      stream.respond({ ':status': 200, 'content-type': 'application/grpc' });
      serve(stream);
    });
    l.on(new Reporting(server.port, l.clock), 1_000);
    await until(() => server.heads.length === 1 && server.open.size === 0);
    await l.clock.advance(1_300);
    await until(() => server.heads.length === 2);
    expect(l.heard).toEqual([]);
  });

  test('of an endpoint that cannot be reached are asked for when it is back', async () => {
    const l = listening();
    const first = await orcaServer({ recorder: recorderOf().recorder, clock: new FakeClock() });
    const { port } = first;
    first.close();
    l.on(new Reporting(port, l.clock), 1_000);
    await l.clock.advance(0);
    const { recorder } = recorderOf();
    recorder.setCpuUtilization(0.5);
    const second = await orcaServer({ recorder, clock: l.clock, minIntervalMs: 60_000 }, { port });
    cleanUp.push(second.close);
    // However far the connection has got by now.
    while (l.heard.length === 0) await l.clock.advance(1_000);
    expect(l.heard[0]).toBe(0.5);
  });

  test('do not hold old connections open: the stream moves to the new ones', async () => {
    const l = listening();
    const streams: ServerHttp2Stream[] = [];
    const server = await scripted((stream) => {
      streams.push(stream);
      say(stream, streams.length);
    });
    const endpoint = new Reporting(server.port, l.clock);
    l.on(endpoint, 1_000);
    await until(() => l.heard.length === 1);
    await endpoint.reconnect();
    await l.clock.advance(1_000);
    await until(() => l.heard.length === 2);
    expect(l.heard).toEqual([1, 2]);
    expect(server.sessions.size).toBe(1);
  });

  test('nor a server that shuts down (GOAWAY): the stream is cancelled, and asked for again', async () => {
    const { recorder } = recorderOf();
    recorder.setCpuUtilization(0.1);
    const l = listening();
    const server = await orcaServer({ recorder, clock: l.clock, minIntervalMs: 600_000 });
    cleanUp.push(server.close);
    l.on(new Reporting(server.port, l.clock), 1_000);
    await until(() => l.heard.length === 1);
    await new Promise<void>((resolve) => server.server.tryShutdown(() => resolve()));
    const second = await orcaServer({ recorder, clock: l.clock, minIntervalMs: 600_000 }, { port: server.port });
    cleanUp.push(second.close);
    while (l.heard.length === 1) await l.clock.advance(1_000);
    expect(l.heard).toEqual([0.1, 0.1]);
  });

  test('of 1,000 endpoints are not asked for all at once', async () => {
    const l = listening();
    let calls = 0;
    const transport = {
      connections: 0,
      call: () => {
        calls++;
        return new Promise<never>(() => {});
      },
      close: async () => {},
    };
    const stops = Array.from({ length: 1_000 }, (_, i) =>
      l.reports.subscribe(
        { key: `e${i}`, config: anEndpoint(`10.0.0.1:${i}`), transport: () => transport } as unknown as Reporting,
        1_000,
        () => {},
      ),
    );
    expect(calls).toBe(64);
    await l.clock.advance(150);
    expect(calls).toBe(1_000);
    for (const stop of stops) stop();
    expect(l.clock.pending).toBe(0);
  });
});
