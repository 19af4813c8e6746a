import * as grpc from '@grpc/grpc-js';
import fc from 'fast-check';
import { afterEach, describe, expect, test } from 'vitest';
import { encodeReportRequest } from '../../../src/client/orca/report-request.js';
import { ORCA_TRAILER } from '../../../src/core/orca.js';
import { readOrcaReport } from '../../../src/core/orca-wire.js';
import { encodeOrcaReport } from '../../../src/core/orca-write.js';
import { meshServerInterceptor } from '../../../src/server/grpc.js';
import { requestMetrics } from '../../../src/server/orca/current.js';
import { reportIntervalMs } from '../../../src/server/orca/report-request.js';
import { STREAM_CORE_METRICS } from '../../../src/server/orca/stream-core-metrics.js';
import { until } from '../../support/http2-fixture.js';
import { recorderOf } from '../../support/load.js';
import { ECHO, type EchoHandler, orcaServer } from '../../support/orca-server.js';

const cleanUp: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of cleanUp.splice(0).reverse()) await close();
});

async function serving(orca: Parameters<typeof orcaServer>[0], echo?: EchoHandler) {
  const { clock, sources, recorder } = recorderOf();
  const interceptors = [meshServerInterceptor({ orca: { recorder } })];
  const options = orca === undefined ? undefined : { recorder, clock, ...orca };
  const server = await orcaServer(options, { interceptors, ...(echo === undefined ? {} : { echo }) });
  const client = new grpc.Client(`127.0.0.1:${server.port}`, grpc.credentials.createInsecure());
  cleanUp.push(server.close, () => client.close());
  const get = () =>
    new Promise<grpc.StatusObject>((resolve) => {
      const call = client.makeUnaryRequest(
        ECHO.path,
        ECHO.requestSerialize,
        ECHO.responseDeserialize,
        Buffer.from('x'),
        () => {},
      );
      call.on('status', resolve);
    });
  const stream = (request: Uint8Array) => {
    const { requestSerialize, responseDeserialize } = ECHO;
    const call = client.makeServerStreamRequest(
      STREAM_CORE_METRICS,
      requestSerialize,
      responseDeserialize,
      Buffer.from(request),
    );
    const reports: ReturnType<typeof readOrcaReport>[] = [];
    call.on('data', (bytes: Buffer) => reports.push(readOrcaReport(bytes)));
    const status = new Promise<grpc.StatusObject>((resolve) => call.on('status', resolve));
    call.on('error', () => {});
    return { call, reports, status };
  };
  return { clock, sources, recorder, server, get, stream };
}

const reportIn = ({ metadata }: grpc.StatusObject) => {
  const values = metadata.get(ORCA_TRAILER);
  expect(values).toHaveLength(1);
  return readOrcaReport(values[0] as Buffer);
};

describe('with orca, the trailers of a gRPC call say how loaded the server is', () => {
  test('with what the handler has recorded', async () => {
    const { recorder, get } = await serving(undefined, async (call, callback) => {
      await Promise.resolve();
      requestMetrics()?.recordRequestCost('rows', 42);
      callback(null, call.request);
    });
    recorder.setApplicationUtilization(0.7);
    const status = await get();
    expect(status.code).toBe(grpc.status.OK);
    expect(reportIn(status)).toMatchObject({ applicationUtilization: 0.7, requestCost: { rows: 42 } });
  });

  test("also of one that failed, beside the handler's own trailers, which stay as they are", async () => {
    const trailer = new grpc.Metadata();
    trailer.set('x-own', 'a');
    const { get } = await serving(undefined, (_call, callback) =>
      callback({ code: grpc.status.NOT_FOUND, details: 'none', metadata: trailer }),
    );
    for (let i = 0; i < 2; i++) {
      const status = await get();
      expect(status).toMatchObject({ code: grpc.status.NOT_FOUND, details: 'none' });
      expect(status.metadata.get('x-own')).toEqual(['a']);
      expect(reportIn(status)).toBeDefined();
    }
    expect(trailer.get(ORCA_TRAILER)).toEqual([]);
  });

  test('unless the handler has put a report of its own there', async () => {
    const own = encodeOrcaReport({ ...recorderOf().recorder.report(), cpuUtilization: 0.9 });
    const { get } = await serving(undefined, (call, callback) => {
      const trailer = new grpc.Metadata();
      trailer.set(ORCA_TRAILER, own);
      callback(null, call.request, trailer);
    });
    expect(reportIn(await get())).toMatchObject({ cpuUtilization: 0.9 });
  });

  test('and calls and failures are counted, without streams of reports', async () => {
    const codes = [grpc.status.OK, grpc.status.NOT_FOUND, grpc.status.INTERNAL, grpc.status.UNAVAILABLE];
    const { clock, recorder, get, stream } = await serving({}, (call, callback) => {
      const code = codes.shift() ?? 0;
      callback(code === 0 ? null : { code }, call.request);
    });
    const { call, reports, status } = stream(encodeReportRequest(0));
    await until(() => reports.length === 1);
    for (let i = 0; i < 4; i++) await get();
    call.cancel();
    await status;
    await until(() => clock.pending === 0);
    await clock.advance(1_000);
    expect(recorder.report()).toMatchObject({ rps: 4, eps: 2 });
  });
});

describe('out of band, a server reports', () => {
  test('at once, and then at the interval asked for', async () => {
    const { clock, recorder, stream } = await serving({ minIntervalMs: 1_000 });
    recorder.setCpuUtilization(0.1);
    const { call, reports } = stream(encodeReportRequest(2_500));
    await until(() => reports.length === 1);
    recorder.setCpuUtilization(0.2);
    await clock.advance(2_499);
    await clock.advance(1);
    await until(() => reports.length === 2);
    // "regardless of whether the data has changed or not" - A51
    await clock.advance(2_500);
    await until(() => reports.length === 3);
    expect(reports.map((report) => report?.cpuUtilization)).toEqual([0.1, 0.2, 0.2]);
    call.cancel();
    await until(() => clock.pending === 0);
  });

  test.each([
    ['less', encodeReportRequest(1)],
    ['nothing', new Uint8Array(0)],
    ['less than nothing', Buffer.from('0a0b08ffffffffffffffffff01', 'hex')],
  ])('no more often than every 30 s by default, when %s is asked for', async (_what, request) => {
    const { clock, stream } = await serving({});
    const { reports, call } = stream(request);
    await until(() => reports.length === 1);
    await clock.advance(29_999);
    expect(clock.pending).toBe(1);
    await clock.advance(1);
    await until(() => reports.length === 2);
    expect(reports).toHaveLength(2);
    call.cancel();
    await until(() => clock.pending === 0);
  });

  test('and refuses what is no request', async () => {
    const { clock, stream } = await serving({});
    const { status } = stream(Uint8Array.of(0x0a, 0x05, 0x08));
    expect(await status).toMatchObject({ code: grpc.status.INVALID_ARGUMENT });
    expect(clock.pending).toBe(0);
  });

  test('and nothing is left of a stream whose connection is lost', async () => {
    const { clock, server, stream } = await serving({});
    const { reports, status } = stream(encodeReportRequest(0));
    await until(() => reports.length === 1);
    server.close();
    await status;
    await until(() => clock.pending === 0);
  });
});

describe('a request for reports', () => {
  test('is read as it was written', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 2 ** 40 }), (ms) => {
        expect(reportIntervalMs(encodeReportRequest(ms))).toBe(ms);
      }),
    );
    expect(reportIntervalMs(encodeReportRequest(1_500.5))).toBe(1_500.5);
  });

  test('that is no message is a number or nothing, and nothing is thrown', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 40 }), (bytes) => {
        const ms = reportIntervalMs(bytes);
        expect(ms === undefined || Number.isFinite(ms)).toBe(true);
      }),
    );
  });

  test('may have fields that are not known', () => {
    const names = Buffer.concat([Uint8Array.of(0x12, 3), Buffer.from('cpu'), Uint8Array.of(0x1d, 1, 2, 3, 4)]);
    expect(reportIntervalMs(Buffer.concat([names, encodeReportRequest(7_000), names]))).toBe(7_000);
  });
});
