import { afterEach, expect, test } from 'vitest';
import { CancelledError } from '../../../src/core/errors.js';
import { seededRandom } from '../../../src/core/random.js';
import { CountingLimits } from '../../support/counting-limits.js';
import {
  bytes,
  callOf,
  type Fixture,
  handWritten,
  http2Server,
  type RunningServer,
  text,
  transportTo,
} from '../../support/http2-fixture.js';

let server: RunningServer;
let fixture: Fixture;

afterEach(async () => {
  await fixture.transport.close(true);
  await server.close();
});

// A server that answers, resets, says GOAWAY, hangs up and dawdles as a seed has it, and callers that give up at any moment: every call
// ends exactly once, and what was held is given back.
test.each([1, 2, 3, 4, 5, 105, 111, 113])('a storm of failures loses no call and no permit (seed %i)', async (seed) => {
  const random = seededRandom(seed);
  server = await http2Server({ settings: { maxConcurrentStreams: 3 } });
  server.server.on('stream', (stream) => {
    const dice = random.int(20);
    if (dice === 0) stream.session?.goaway(0);
    else if (dice === 1) stream.session?.destroy();
    else if (dice < 4) stream.close(7);
    else if (dice < 6) stream.close(2);
    else {
      stream.respond({ ':status': 200 });
      if (dice < 8) stream.write(Buffer.alloc(random.int(100_000)), () => stream.close(8));
      else stream.end(Buffer.alloc(random.int(100_000)));
      return;
    }
    if (!stream.destroyed && dice === 0) stream.respond({ ':status': 200 }, { endStream: true });
  });
  fixture = transportTo(server.port, { limits: new CountingLimits(3, 1_000) });
  const outcomes = new Map<string, number>();
  const note = (outcome: string): void => void outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
  let ends = 0;
  let heads = 0;
  const one = async (): Promise<void> => {
    const streamed = random.int(3) === 0 ? handWritten() : undefined;
    const call = callOf({ method: 'POST', body: streamed?.body ?? bytes(random.int(50_000)) });
    if (streamed !== undefined) {
      streamed.body.write(Buffer.alloc(random.int(50_000)));
      setImmediate(() => streamed.body.end());
    }
    const moment = random.int(6);
    if (moment === 0) setImmediate(() => call.cancel(new CancelledError()));
    try {
      const reply = await fixture.transport.call(call);
      heads++;
      reply.onEnd(() => ends++);
      if (moment === 1) reply.body.cancel();
      else await text(reply.body);
      note('ok');
    } catch (error) {
      note((error as { code: string }).code);
    }
  };
  await Promise.all(
    Array.from({ length: 10 }, async () => {
      for (let i = 0; i < 40; i++) await one();
    }),
  );
  expect([...outcomes.values()].reduce((sum, count) => sum + count, 0)).toBe(400);
  expect(outcomes.get('ok')).toBeGreaterThan(50);
  expect(outcomes.get('undefined')).toBeUndefined();
  expect(ends).toBe(heads);
  await fixture.transport.close();
  expect(fixture.transport.connections).toBe(0);
  expect(fixture.limits).toMatchObject({ open: 0, waiting: 0 });
});
