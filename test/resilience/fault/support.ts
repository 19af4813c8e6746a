import { BytesBody, StreamBody } from '../../../src/core/body.js';
import type { Call } from '../../../src/core/call.js';
import { Deadlines } from '../../../src/core/deadlines.js';
import { type HeaderFields, headerFields } from '../../../src/core/headers.js';
import { silentLogger } from '../../../src/core/log.js';
import { type MeshEvent, noMeter } from '../../../src/core/meter.js';
import type { FaultConfig } from '../../../src/core/model/fault.js';
import { seededRandom } from '../../../src/core/random.js';
import { type Reply, ReplyEnding } from '../../../src/core/reply.js';
import type { Filter, Service } from '../../../src/core/service.js';
import { type ClientFaultEnv, faults as faultsFilter } from '../../../src/resilience/fault/filter.js';
import { activeFaults } from '../../../src/resilience/fault/process.js';
import { anyHeader } from '../../../src/routing/match/any-header.js';
import { aReply, GOOD_END } from '../../support/calls.js';
import { FakeClock } from '../../support/fake-clock.js';

/** A policy with nothing but what a test says. */
export const aFault = (more: Partial<FaultConfig>): FaultConfig => ({ name: 'chaos', headers: [], ...more });

/** Surroundings in memory, with everything written down. Each has a clock, and so a process, of its own. */
export function faultEnv(seed = 1) {
  const clock = new FakeClock();
  const events: MeshEvent[] = [];
  const lines: string[] = [];
  const env: ClientFaultEnv = {
    clock,
    logger: {
      ...silentLogger,
      info: (message) => lines.push(`info ${message}`),
      warn: (message) => lines.push(`warn ${message}`),
    },
    random: seededRandom(seed),
    meter: { ...noMeter, event: (event) => events.push(event) },
    headers: anyHeader,
    cluster: 'reviews',
  };
  const faults = (): string[] => events.map((event) => (event.kind === 'fault' ? event.fault : event.kind));
  return { clock, events, lines, env, faults, deadlines: new Deadlines(clock), active: activeFaults(clock) };
}

/** The filter of some policies; of none it lets everything through. */
export const injecting = (configs: readonly FaultConfig[], env: ClientFaultEnv): Filter =>
  faultsFilter(configs, env) ?? ((next) => next);

/** The filter around a service that answers 200; `sent` are the calls that got there. */
export function faulty(
  configs: readonly FaultConfig[],
  env: ClientFaultEnv,
  answer: (call: Call) => Reply | Promise<Reply> = () => aReply(),
) {
  const sent: Call[] = [];
  const service: Service = injecting(
    configs,
    env,
  )((call) => {
    sent.push(call);
    return new Promise((resolve) => resolve(answer(call)));
  });
  return { service, sent };
}

/** A reply whose body a test writes. `asked`: what the body's reader made of the service: how often to go on, and whether it went away. */
export function streamReply(headers: HeaderFields = headerFields()) {
  const asked = { resumed: 0, cancelled: false };
  const ending = new ReplyEnding();
  const end = (error?: Parameters<StreamBody['fail']>[0]): void =>
    ending.settle({ error, trailers: undefined, bytesSent: 0, bytesReceived: 0 });
  const body = new StreamBody({
    resume: () => void asked.resumed++,
    cancel: (reason) => {
      asked.cancelled = true;
      end(reason);
    },
  });
  const reply: Reply = { status: 200, headers, body, onEnd: (listener) => ending.onEnd(listener) };
  const finish = (trailers?: HeaderFields): void => {
    body.end(trailers);
    end();
  };
  return { reply, body, asked, finish };
}

/** A reply that is all there. */
export const bytesReply = (bytes: Uint8Array, trailers?: HeaderFields): Reply => ({
  status: 200,
  headers: headerFields(),
  body: new BytesBody(bytes, trailers),
  onEnd: (listener) => listener({ ...GOOD_END, trailers }),
});
