import { expect, test } from 'vitest';
import { Inbound } from '../../../src/server/inbound.js';
import type { InboundContext } from '../../../src/server/context.js';
import { FakeClock } from '../../support/fake-clock.js';

/** 100 requests come every 50 ms: with 50 ms each, 100 are under way. */
const TICK_MS = 50;
const PER_TICK = 100;

/** A server of which requests end as they are told to; says how many of a hundred it refused in the last second. */
class Server {
  readonly #clock = new FakeClock();
  readonly #inbound = new Inbound({ clock: this.#clock, shed: { maxLagMs: false } });

  async serve(seconds: number, ms: number, status: number): Promise<number> {
    let refused = 0;
    for (let tick = 0; tick < (seconds * 1_000) / TICK_MS; tick++) {
      if (tick % (1_000 / TICK_MS) === 0) refused = 0;
      const running: InboundContext[] = [];
      for (let i = 0; i < PER_TICK; i++) {
        const context = this.#inbound.context({}, 'http');
        if (this.#inbound.refusal(context, 'http') === undefined) running.push(context);
        else refused++;
      }
      await this.#clock.advance(ms);
      for (const context of running) {
        context.answered('http', status);
        context.over();
      }
      await this.#clock.advance(TICK_MS - ms);
    }
    return refused / (1_000 / TICK_MS);
  }
}

test('shedding is as it was after a minute in which all failed at once, a backend being down', async () => {
  const server = new Server();
  expect(await server.serve(150, 50, 200)).toBe(0);
  expect(await server.serve(60, 1, 503)).toBe(0);
  expect(await server.serve(1, 50, 200)).toBe(0);
  // Nor is "usual" another time now.
  expect(await server.serve(30, 50, 200)).toBe(0);
});

test('shedding goes on while all time out, which tells of a queue', async () => {
  const server = new Server();
  expect(await server.serve(150, 25, 200)).toBe(0);
  expect(await server.serve(60, 50, 504)).toBeGreaterThan(0);
});
