import { describe, expect, test } from 'vitest';
import { noMeter } from '../../src/core/meter.js';
import { meshMiddleware as expressMiddleware } from '../../src/server/express.js';
import { meshPlugin } from '../../src/server/fastify.js';
import { meshServerInterceptor } from '../../src/server/grpc.js';
import { meshMiddleware as honoMiddleware } from '../../src/server/hono.js';
import { meshHandler } from '../../src/server/http.js';
import type { InboundOptions } from '../../src/server/inbound.js';
import { loadShedder } from '../../src/server/shedding/options.js';
import { meshUpgrade } from '../../src/server/upgrade.js';
import { FakeClock } from '../support/fake-clock.js';

/** What middleware is told and cannot be meant is refused where it is made, in every framework. */

const fastify = { addHook: () => {} };
const MAKERS: Record<string, (options: InboundOptions) => unknown> = {
  'node:http': (options) => meshHandler(() => {}, options),
  'upgrades of node:http': (options) => meshUpgrade(() => {}, options),
  Express: expressMiddleware,
  Fastify: (options) => meshPlugin(fastify, options, () => {}),
  Hono: honoMiddleware,
  'grpc-js': meshServerInterceptor,
};

describe.each(Object.entries(MAKERS))('%s', (_, make) => {
  test.each([
    [{ sched: true }, 'sched: unknown field; did you mean "shed"?'],
    [{ services: 'x' }, 'services: unknown field; did you mean "service"?'],
    [{ trustProxies: 1 }, 'trustProxies: unknown field; did you mean "trustedProxies"?'],
    [{ caller: 'x' }, 'caller: must be a function'],
    [{ mesh: {} }, 'mesh: must be a mesh'],
    [{ service: 'front' }, 'service: needs the option mesh'],
    [{ shed: 'yes' }, 'shed: must be true, false or an object, got "yes"'],
  ])('refuses %j', (options, problem) => {
    expect(() => make(options as never)).toThrow(problem);
  });

  test('takes nothing at all, and all that is known', () => {
    make({});
    make({ mesh: { meter: noMeter }, expired: 'off', orca: false, shed: false, trustedProxies: 1 });
  });
});

test('Fastify’s own options of a plugin are none of ours', () => {
  meshPlugin(fastify, { prefix: '/a', logLevel: 'warn', shed: false } as InboundOptions, () => {});
});

test('a limit at most that is lower than the algorithm begins with, or goes down to, lowers these', () => {
  const limit = (options: Parameters<typeof loadShedder>[0]) => loadShedder(options, new FakeClock()).limit;
  expect(limit({ maxLimit: 10 })).toBe(10);
  expect(limit({ maxLimit: 10, algorithm: 'aimd' })).toBe(10);
  expect(() => limit({ maxLimit: 10, minLimit: 20 })).toThrow('shed.maxLimit');
});
