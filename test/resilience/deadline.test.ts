import { describe, expect, test } from 'vitest';
import { withAmbient } from '../../src/core/ambient.js';
import { StreamBody } from '../../src/core/body.js';
import { Cancellation } from '../../src/core/cancellation.js';
import { Deadlines } from '../../src/core/deadlines.js';
import { CancelledError } from '../../src/core/errors.js';
import { type Filter, stack } from '../../src/core/service.js';
import { callDeadline, type RouteTimeout, routeDeadline } from '../../src/resilience/deadline/deadline.js';
import { aCall, aReply, OpenReply, type Step, scripted } from '../support/calls.js';
import { FakeClock } from '../support/fake-clock.js';

const hang: Step = (call) => new Promise((_, reject) => call.cancellation.add(reject));

function setup(route: RouteTimeout | undefined, ...steps: Step[]) {
  const clock = new FakeClock();
  const env = { clock, deadlines: new Deadlines(clock) };
  const service = scripted(...steps);
  const filters: (Filter | undefined)[] = [callDeadline(env), route && routeDeadline(route, env)];
  return {
    clock,
    service,
    call: stack(
      filters.filter((filter) => filter !== undefined),
      service,
    ),
  };
}

const unset: RouteTimeout = { timeoutMs: undefined, maxStreamDurationMs: undefined };

describe('deadline', () => {
  test('the shorter of application and route counts', async () => {
    for (const [application, route, expected] of [
      [100, 500, 100],
      [500, 100, 100],
      [undefined, 100, 100],
      [100, undefined, 100],
    ] as const) {
      const { clock, call } = setup({ timeoutMs: route, maxStreamDurationMs: undefined }, hang);
      const failed = call(aCall({ timeoutMs: application })).catch((error: Error) => [error.name, clock.now()]);
      const startedAt = clock.now();
      await clock.advance(1_000);
      const [name, at] = (await failed) as [string, number];
      expect(name).toBe('DeadlineExceededError');
      expect(at - startedAt).toBeGreaterThanOrEqual(expected);
      expect(at - startedAt).toBeLessThanOrEqual(expected + 4);
    }
  });

  test('a call whose time is up before it starts is not sent, and says that nothing reached the server', async () => {
    const { call, service } = setup(undefined, aReply());
    await expect(call(aCall({ timeoutMs: 0 }))).rejects.toMatchObject({
      code: 'DEADLINE_EXCEEDED',
      reached: 'no',
      flag: 'MD',
    });
    expect(service.calls.length).toBe(0);
  });

  test('a call to which nobody gave a limit waits 15 s for the head, and as long as it takes for the rest', async () => {
    const reply = new OpenReply();
    const { call, clock, service } = setup(unset, reply);
    await call(aCall());
    await clock.advance(100_000);
    expect(service.calls[0]?.cancellation.cancelled).toBe(false);
    const late = setup(unset, hang);
    const failed = expect(late.call(aCall())).rejects.toThrow('deadline exceeded after 15');
    await late.clock.advance(15_010);
    await failed;
  });

  test('an upload takes the time it takes: the wait for the head begins with its last byte', async () => {
    const { call, clock, service } = setup(unset, (made) => {
      made.body?.pipe({ write: () => true, end() {}, fail() {} });
      return new Promise((_, reject) => made.cancellation.add(reject));
    });
    const body = new StreamBody({ resume() {}, cancel() {} });
    const failed = expect(call(aCall({ method: 'POST', body }))).rejects.toThrow('deadline exceeded after 15');
    await clock.advance(60_000);
    expect(service.calls[0]?.cancellation.cancelled).toBe(false);
    body.end();
    await clock.advance(15_010);
    await failed;
  });

  describe('an upload to which nobody gave a limit', () => {
    const upload = (route: RouteTimeout) => {
      const run = setup(route, (made) => {
        made.body?.pipe({ write: () => true, end() {}, fail() {} });
        return new Promise((_, reject) => made.cancellation.add(reject));
      });
      const body = new StreamBody({ resume() {}, cancel() {} });
      let failure: string | undefined;
      run.call(aCall({ method: 'POST', body })).catch((error: Error) => {
        failure = error.message;
      });
      return { ...run, body, failure: () => failure };
    };

    test('ends when nothing of it moves for 5 minutes, as in Envoy (stream_idle_timeout), and leaves no timer', async () => {
      const { body, clock, failure } = upload(unset);
      for (let i = 0; i < 3; i++) {
        await clock.advance(299_000);
        body.write(new Uint8Array(1));
      }
      await clock.advance(299_000);
      expect(failure()).toBeUndefined();
      await clock.advance(1_010);
      expect(failure()).toContain('nothing of the request body moved for 300000 ms');
      expect(clock.pending).toBe(0);
    });

    test('has the time for the head once it is whole, however long it took', async () => {
      const { body, clock, failure } = upload(unset);
      await clock.advance(200_000);
      body.end();
      await clock.advance(14_000);
      expect(failure()).toBeUndefined();
      await clock.advance(1_010);
      expect(failure()).toContain('deadline exceeded after 15');
      expect(clock.pending).toBe(0);
    });

    test('is not ended where the route says what idle is, or has no limit', async () => {
      for (const route of [
        { ...unset, idleTimeoutMs: 3_600_000 },
        { ...unset, idleTimeoutMs: 0 },
        { ...unset, timeoutMs: 0 },
      ]) {
        const { clock, failure } = upload(route);
        await clock.advance(1_000_000);
        expect(failure()).toBeUndefined();
      }
    });
  });

  test('a limit that was asked for covers the reply to its end', async () => {
    const reply = new OpenReply();
    const { call, clock, service } = setup({ timeoutMs: 1_000, maxStreamDurationMs: undefined }, reply);
    await call(aCall());
    await clock.advance(1_010);
    expect(service.calls[0]?.cancellation.reason?.code).toBe('DEADLINE_EXCEEDED');
  });

  test('timeout 0 is no limit, and gRPC has none unless it is configured', async () => {
    const none = setup({ timeoutMs: 0, maxStreamDurationMs: undefined }, hang);
    void none.call(aCall()).catch(() => {});
    await none.clock.advance(1_000_000);
    expect(none.service.calls[0]?.cancellation.cancelled).toBe(false);
    const grpc = setup(unset, hang);
    void grpc.call(aCall({ protocol: 'grpc' })).catch(() => {});
    await grpc.clock.advance(1_000_000);
    expect(grpc.service.calls[0]?.cancellation.cancelled).toBe(false);
  });

  test('max_stream_duration caps a gRPC call and leaves HTTP alone', async () => {
    const route = { timeoutMs: 0, maxStreamDurationMs: 200 };
    const grpc = setup(route, hang);
    const failed = expect(grpc.call(aCall({ protocol: 'grpc', timeoutMs: 5_000 }))).rejects.toThrow(
      'deadline exceeded',
    );
    await grpc.clock.advance(204);
    await failed;
    const http = setup(route, hang);
    void http.call(aCall({ timeoutMs: 5_000 })).catch(() => {});
    await http.clock.advance(204);
    expect(http.service.calls[0]?.cancellation.cancelled).toBe(false);
  });

  test("a route's timeout is for HTTP: gRPC knows max_stream_duration only (gRFC A31)", async () => {
    const { call, clock, service } = setup({ timeoutMs: 1, maxStreamDurationMs: undefined }, hang);
    void call(aCall({ protocol: 'grpc' })).catch(() => {});
    await clock.advance(1_000_000);
    expect(service.calls[0]?.cancellation.cancelled).toBe(false);
    expect(service.calls[0]?.deadline).toBe(Number.POSITIVE_INFINITY);
  });

  test('no timer is left once the call has ended', async () => {
    const { call, clock } = setup({ timeoutMs: 1_000, maxStreamDurationMs: undefined }, aReply());
    await call(aCall({ timeoutMs: 2_000 }));
    await clock.advance(3_000);
    expect(clock.pending).toBe(0);
  });

  test('a call made while a request is served gets no more than what is left to that request', async () => {
    const { call, clock } = setup(unset, hang);
    const ambient = {
      deadline: clock.now() + 50,
      cancellation: undefined,
      traceparent: undefined,
      tracestate: undefined,
      baggage: undefined,
    };
    const failed = withAmbient(ambient, () =>
      expect(call(aCall({ timeoutMs: 5_000 }))).rejects.toThrow('deadline exceeded'),
    );
    await clock.advance(54);
    await failed;
  });

  test('when the caller of the request goes away, so do the calls made for it', async () => {
    const { call } = setup(unset, hang, aReply());
    const cancellation = new Cancellation();
    const ambient = {
      deadline: Number.POSITIVE_INFINITY,
      cancellation,
      traceparent: undefined,
      tracestate: undefined,
      baggage: undefined,
    };
    const failed = withAmbient(ambient, () => expect(call(aCall())).rejects.toThrow('caller left'));
    cancellation.cancel(new CancelledError('caller left'));
    await failed;
  });
});
