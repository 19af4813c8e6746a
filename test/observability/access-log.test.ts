import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ConfigUnavailableError } from '../../src/core/errors.js';
import { type Logger, silentLogger } from '../../src/core/log.js';
import { type AccessLogTarget, createAccessLog } from '../../src/observability/log/access-log.js';
import { ACCESS_LOG_KEYS, type AccessLogEntry } from '../../src/observability/log/entry.js';
import { LineWriter } from '../../src/observability/log/line-writer.js';
import { FakeClock } from '../support/fake-clock.js';
import { finished } from '../support/finished.js';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'inmesh-access-log-'));
});
afterAll(() => rm(folder, { recursive: true }));

const logTo = (target: AccessLogTarget, logger: Logger = silentLogger) =>
  createAccessLog({ target, source: 'web', clock: new FakeClock(), logger });

/** The line that a call leaves, parsed. */
function entryOf(init: Parameters<typeof finished>[0]): AccessLogEntry {
  let line = '';
  logTo((text) => {
    line = text;
  })?.write(finished(init));
  return JSON.parse(line) as AccessLogEntry;
}

describe('an entry', () => {
  test('says where a call came from, where it went and how it ended', () => {
    expect(
      entryOf({
        call: { authority: 'reviews:8080', path: '/v1?Signature=abc&q=1' },
        record: {
          attempts: 2,
          route: 'r',
          cluster: 'reviews-v2',
          endpoint: '10.0.0.7:9001',
          version: 'v2',
          traceId: 'abc',
          flags: ['UR'],
        },
        durationMs: 12.345_678,
        end: { bytesSent: 3, bytesReceived: 99 },
      }),
    ).toEqual({
      time: '2023-11-14T22:13:21.000Z',
      source: 'web',
      destination: 'reviews:8080',
      protocol: 'http',
      method: 'GET',
      url: 'http://reviews:8080/v1?Signature=REDACTED&q=1',
      status: 200,
      duration_ms: 12.346,
      bytes_sent: 3,
      bytes_received: 99,
      flags: 'UR',
      attempts: 2,
      endpoint: '10.0.0.7:9001',
      route: 'r',
      cluster: 'reviews-v2',
      version: 'v2',
      trace_id: 'abc',
    });
  });

  test('of a failed call has the error with code, origin and whether the server was reached', () => {
    expect(entryOf({ error: new ConfigUnavailableError('no configuration') })).toMatchObject({
      flags: 'NC',
      error: { code: 'CONFIG_UNAVAILABLE', origin: 'mesh', reached: 'no', message: 'no configuration' },
    });
  });

  test('of a gRPC call has its status', () => {
    const entry = entryOf({ call: { protocol: 'grpc' }, end: { trailers: { 'grpc-status': '7' } } });
    expect(entry).toMatchObject({ protocol: 'grpc', status: 200, grpc_status: 7 });
  });

  test('credentials in the authority do not show', () => {
    expect(entryOf({ call: { authority: 'user:pass@reviews' } }).url).toBe('http://REDACTED:REDACTED@reviews/');
  });

  test('a secret hides no better when its key is percent-encoded', () => {
    expect(entryOf({ call: { path: '/?%73ig=abc' } }).url).toBe('http://reviews/?%73ig=REDACTED');
  });

  test('a URL without end is cut', () => {
    expect(entryOf({ call: { path: `/${'x'.repeat(100_000)}` } }).url.length).toBeLessThan(5_000);
  });

  test('is one line that parses again, whatever strangers put into it', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), fc.string({ unit: 'binary' }), (path, method) => {
        let line = '';
        logTo((text) => {
          line = text;
        })?.write(finished({ call: { path: `/${path}`, method } }));
        // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what must not be there
        expect(line).not.toMatch(/[\u0000-\u001f\u007f-\u009f\u2028\u2029]/);
        expect(JSON.parse(line).method).toBe(method);
      }),
    );
  });

  test('has the keys that are documented, and no other', () => {
    let entry: AccessLogEntry | undefined;
    logTo((_, given) => {
      entry = given;
    })?.write(finished());
    expect(Object.keys(entry as AccessLogEntry)).toEqual([...ACCESS_LOG_KEYS]);
  });
});

describe('the target', () => {
  test('false is no log', () => {
    expect(logTo(false)).toBeUndefined();
  });

  test('a path is a file that is appended to', async () => {
    const path = join(folder, 'access.log');
    for (let i = 0; i < 2; i++) {
      const log = logTo(path);
      log?.write(finished());
      log?.write(finished());
      await log?.close();
    }
    const lines = (await readFile(path, 'utf8')).trimEnd().split('\n');
    expect(lines.map((line) => JSON.parse(line).destination)).toEqual(Array(4).fill('reviews'));
  });

  test('a path that cannot be written is said once, loses lines and harms no call', async () => {
    const errors: string[] = [];
    const log = logTo(join(folder, 'no', 'such', 'folder'), {
      ...silentLogger,
      error: (message) => errors.push(message),
    });
    log?.write(finished());
    await log?.close();
    await expect.poll(() => errors.length).toBe(1);
    expect(log?.dropped).toBe(1);
  });

  test('a function that throws harms no call', () => {
    const log = logTo(() => {
      throw new Error('no');
    });
    log?.write(finished());
    expect(log?.dropped).toBe(1);
  });
});

describe('LineWriter', () => {
  /** A sink that keeps what it gets and finishes a write when told. */
  function slowSink() {
    const written: string[] = [];
    const pending: ((error?: Error) => void)[] = [];
    return {
      written,
      pending,
      write: (text: string, done: (error?: Error | null) => void) => {
        written.push(text);
        pending.push(done);
      },
    };
  }

  test('lines are written together a moment later', async () => {
    const clock = new FakeClock();
    const sink = slowSink();
    const writer = new LineWriter(sink, clock);
    writer.write('a\n');
    writer.write('b\n');
    expect(sink.written).toEqual([]);
    await clock.advance(100);
    expect(sink.written).toEqual(['a\nb\n']);
  });

  test('lines that a slow sink leaves waiting are dropped beyond the bound, and counted', async () => {
    const clock = new FakeClock();
    const sink = slowSink();
    const writer = new LineWriter(sink, clock, 10);
    writer.write('1234\n');
    await clock.advance(100);
    for (let i = 0; i < 5; i++) writer.write('5678\n');
    expect(writer.dropped).toBe(3);
    sink.pending[0]?.();
    await clock.advance(100);
    expect(sink.written).toEqual(['1234\n', '5678\n5678\n']);
  });

  test('lines whose write failed are counted', async () => {
    const clock = new FakeClock();
    const sink = slowSink();
    const writer = new LineWriter(sink, clock);
    writer.write('a\n');
    writer.write('b\n');
    await clock.advance(100);
    sink.pending[0]?.(new Error('disk full'));
    expect(writer.dropped).toBe(2);
  });

  test('close writes what waits, also behind a write under way, and leaves no timer', async () => {
    const clock = new FakeClock();
    const sink = slowSink();
    const writer = new LineWriter(sink, clock);
    writer.write('a\n');
    await clock.advance(100);
    writer.write('b\n');
    const closed = writer.close();
    sink.pending[0]?.();
    expect(sink.written).toEqual(['a\n', 'b\n']);
    sink.pending[1]?.();
    await closed;
    expect(clock.pending).toBe(0);
    writer.write('late\n');
    expect(writer.dropped).toBe(1);
  });
});
