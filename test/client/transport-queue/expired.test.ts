import type { ServerResponse } from 'node:http';
import type { ServerHttp2Stream } from 'node:http2';
import { afterEach, expect, test } from 'vitest';
import type { Call } from '../../../src/core/call.js';
import type { Transport } from '../../../src/core/transport.js';
import { aCall } from '../../support/calls.js';
import { CountingLimits } from '../../support/counting-limits.js';
import { FakeClock } from '../../support/fake-clock.js';
import { failureOf, httpServer, transportTo, until } from '../../support/http1-fixture.js';
import { http2Server, transportTo as transport2To } from '../../support/http2-fixture.js';

/*
 * One connection that takes one call at a time, and a line before it. No timer runs here: what is shown is that the line itself looks at the time, as
 * a deadline's timer may be up to 4 ms late.
 */

interface Setting {
  readonly transport: Transport;
  readonly limits: CountingLimits;
  /** What the server was told of the time left, request by request, and its answers. */
  readonly told: (string | undefined)[];
  readonly answers: (() => void)[];
}

const closing: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0)) await close();
});

async function http1(clock: FakeClock): Promise<Setting> {
  const told: (string | undefined)[] = [];
  const answers: (() => void)[] = [];
  const server = await httpServer(({ headers }, response: ServerResponse) => {
    told.push(headers['inmesh-timeout-ms'] as string | undefined);
    answers.push(() => response.end());
  });
  const open = transportTo(server.port, { clock, limits: new CountingLimits(1, 10) });
  closing.push(
    () => open.transport.close(true),
    () => server.close(),
  );
  return { ...open, told, answers };
}

async function http2(clock: FakeClock): Promise<Setting> {
  const told: (string | undefined)[] = [];
  const answers: (() => void)[] = [];
  const server = await http2Server({ settings: { maxConcurrentStreams: 1 } });
  server.server.on('stream', (stream: ServerHttp2Stream, headers) => {
    told.push(headers['inmesh-timeout-ms'] as string | undefined);
    answers.push(() => {
      stream.respond({ ':status': 200 });
      stream.end();
    });
  });
  const open = transport2To(server.port, { clock, limits: new CountingLimits(1, 10) });
  closing.push(
    () => open.transport.close(true),
    () => server.close(),
  );
  return { ...open, told, answers };
}

const due = (deadline: number): Call => {
  const call = aCall();
  call.deadline = deadline;
  return call;
};

test.each([
  ['HTTP/1.1', http1],
  ['HTTP/2', http2],
])(
  '%s: a call whose time is up in the line is never sent, and one that goes on says what is left then',
  async (_, start) => {
    const clock = new FakeClock(1_000);
    const { transport, limits, told, answers } = await start(clock);
    const first = transport.call(aCall());
    await until(() => answers.length === 1);
    const expired = failureOf(transport.call(due(1_100)));
    const inTime = transport.call(due(1_500));
    const unhurried = transport.call(aCall());
    expect(limits.waiting).toBe(3);
    await clock.advance(100);
    answers[0]?.();
    expect(await expired).toMatchObject({ code: 'DEADLINE_EXCEEDED', reached: 'no', flag: 'MD' });
    await until(() => answers.length === 2);
    answers[1]?.();
    await until(() => answers.length === 3);
    answers[2]?.();
    await Promise.all([first, inTime, unhurried]);
    expect(told).toEqual([undefined, '400', undefined]);
    expect(limits.waiting).toBe(0);
  },
);
