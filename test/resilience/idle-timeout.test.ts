import { describe, expect, test } from 'vitest';
import { StreamBody } from '../../src/core/body.js';
import { Deadlines } from '../../src/core/deadlines.js';
import type { Filter } from '../../src/core/service.js';
import { attemptIdleTimeout, callIdleTimeout } from '../../src/resilience/deadline/attempt-timeout.js';
import { ReplayBody } from '../../src/resilience/retry/replay.js';
import { aCall, aReply, OpenReply, type Step, scripted } from '../support/calls.js';
import { FakeClock } from '../support/fake-clock.js';

const hang: Step = (call) => new Promise((_, reject) => call.cancellation.add(reject));
const producer = { resume() {}, cancel() {} };
const sink = { write: () => true, end() {}, fail() {} };

function setup(...steps: Step[]) {
  const clock = new FakeClock();
  const env = { clock, deadlines: new Deadlines(clock) };
  const filter = callIdleTimeout(1_000, env) as Filter;
  return { clock, env, call: filter(scripted(...steps)) };
}

describe('an idle timeout', () => {
  test('ends a call in which nothing moves', async () => {
    const { clock, call } = setup(hang);
    const failed = call(aCall()).catch((error: Error) => error);
    await clock.advance(990);
    await clock.advance(20);
    expect(await failed).toMatchObject({
      code: 'DEADLINE_EXCEEDED',
      flag: 'UT',
      message: expect.stringContaining('idle_timeout'),
    });
  });

  test('begins anew with every chunk of the request and of the reply', async () => {
    const reply = new OpenReply();
    const body = new StreamBody(producer);
    Object.assign(reply, { body });
    const upload = new StreamBody(producer);
    const { clock, call } = setup((sending) => {
      sending.body?.pipe(sink);
      return new Promise((resolve) => clock.after(2_500, () => resolve(reply)));
    });
    const made = aCall({ method: 'POST', body: upload });
    const replying = call(made);
    for (let i = 0; i < 3; i++) {
      await clock.advance(900);
      upload.write(Buffer.from('x'));
    }
    const watched = await replying;
    watched.body.pipe(sink);
    for (let i = 0; i < 3; i++) {
      await clock.advance(900);
      body.write(Buffer.from('x'));
    }
    expect(made.cancellation.cancelled).toBe(false);
    await clock.advance(1_010);
    expect(made.cancellation.cancelled).toBe(true);
  });

  test('of an attempt begins anew with every chunk of an upload that is kept for another attempt', async () => {
    const clock = new FakeClock();
    const filter = attemptIdleTimeout(1_000, { clock, deadlines: new Deadlines(clock) }) as Filter;
    const upload = new StreamBody(producer);
    const attempt = aCall({ method: 'PUT', body: new ReplayBody(upload).attempt() });
    const failed = filter(
      scripted((sending) => {
        sending.body?.pipe(sink);
        return hang(sending);
      }),
    )(attempt).catch((error: Error) => error);
    for (let i = 0; i < 8; i++) {
      await clock.advance(400);
      upload.write(Buffer.from('x'));
    }
    expect(attempt.cancellation.cancelled).toBe(false);
    await clock.advance(1_010);
    expect(await failed).toMatchObject({ code: 'DEADLINE_EXCEEDED' });
  });

  test('ends with the reply, and leaves no timer', async () => {
    const { clock, env, call } = setup(aReply(200));
    const made = aCall();
    await call(made);
    await clock.advance(2_000);
    expect(made.cancellation.cancelled).toBe(false);
    expect(clock.pending).toBe(0);
    env.deadlines.close();
  });

  test('of an attempt says so, and is not there when it is not asked for', async () => {
    const { clock, env } = setup();
    const filter = attemptIdleTimeout(500, env) as Filter;
    const failed = filter(scripted(hang))(aCall()).catch((error: Error) => error);
    await clock.advance(510);
    expect(await failed).toMatchObject({
      name: 'AttemptTimeoutError',
      message: expect.stringContaining('per_try_idle_timeout'),
    });
    expect(attemptIdleTimeout(undefined, env)).toBeUndefined();
    expect(callIdleTimeout(0, env)).toBeUndefined();
  });
});
