import type { ClientEnv } from '../../src/client/env.js';
import { Deadlines } from '../../src/core/deadlines.js';
import { silentLogger } from '../../src/core/log.js';
import { type MeshEvent, noMeter } from '../../src/core/meter.js';
import { seededRandom } from '../../src/core/random.js';
import type { Reply } from '../../src/core/reply.js';
import type { Call } from '../../src/core/call.js';
import type { Transport, TransportOptions } from '../../src/core/transport.js';
import { aReply } from './calls.js';
import { FakeClock } from './fake-clock.js';
import { testTls } from './tls.js';

/** A client's surroundings in memory: every endpoint answers with `answer`, or can be `reached` without a call, and what happened is written down. */
export function memoryEnv(
  answer: (endpoint: string, call: Call) => Reply | Promise<Reply> = () => aReply(),
  reached: (endpoint: string) => Promise<void> = async () => {},
) {
  const clock = new FakeClock();
  const events: MeshEvent[] = [];
  const sent: { endpoint: string; call: Call }[] = [];
  const opened: string[] = [];
  const closed: string[] = [];
  const connect =
    (kind: string) =>
    (options: TransportOptions): Transport => {
      const { key } = options.endpoint;
      opened.push(`${kind} ${key}${options.tls === undefined ? '' : ` tls:${options.tls.name}`}`);
      return {
        connections: 1,
        call: (call) => {
          sent.push({ endpoint: key, call });
          return new Promise((resolve) => resolve(answer(key, call)));
        },
        connect: () => reached(key),
        close: async () => void closed.push(key),
      };
    };
  const env: ClientEnv = {
    clock,
    random: seededRandom(1),
    deadlines: new Deadlines(clock),
    logger: silentLogger,
    meter: { ...noMeter, event: (event) => events.push(event) },
    tracer: undefined,
    tls: testTls({ clock }),
    transports: { http1: connect('http1'), http2: connect('http2') },
  };
  return { env, clock, events, sent, opened, closed };
}
