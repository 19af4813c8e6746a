import * as grpc from '@grpc/grpc-js';
import { afterEach, describe, expect, test, vi } from 'vitest';
import type { Mesh } from '../../../src/index.js';
import { EchoGrpc, FRAMEWORKS } from '../../support/inbound-servers.js';
import { openCarrier } from '../support/carriers.js';

/* A FaultPolicy with `side: server`: what befalls requests before their handlers run. Aborts are in test/e2e/limits-server/. */

const WAIT = { timeout: 10_000, interval: 5 };
const opened: (() => Promise<unknown> | unknown)[] = [];
afterEach(async () => {
  for (const close of opened.splice(0).reverse()) await close();
});

const yaml = (spec: string): string => `---
apiVersion: v1
kind: Service
metadata: { name: reviews }
spec: { endpoints: ["127.0.0.1:1"] }
---
apiVersion: inmesh.dev/v1alpha1
kind: FaultPolicy
metadata: { name: chaos }
spec: { side: server, targetRefs: [{ group: "", kind: Service, name: reviews }], ${spec} }
`;

interface Server {
  /** Resolves with the status, or 'cut'. */
  ask(signal?: AbortSignal): Promise<unknown>;
}

const servers: Readonly<Record<string, (mesh: Mesh, handled: () => void) => Promise<Server>>> = {
  ...Object.fromEntries(
    Object.entries(FRAMEWORKS).map(([name, framework]) => [
      name,
      async (mesh: Mesh, handled: () => void): Promise<Server> => {
        const { port, close } = await framework(handled, { mesh, service: 'reviews' });
        opened.push(close);
        return {
          ask: (signal) =>
            fetch(`http://127.0.0.1:${port}/`, signal === undefined ? {} : { signal }).then(
              async (reply) => {
                await reply.text();
                return reply.status;
              },
              () => 'cut',
            ),
        };
      },
    ]),
  ),
  'grpc-js': async (mesh, handled) => {
    const server = await EchoGrpc.start(handled, { mesh, service: 'reviews' });
    opened.push(() => server.close());
    return {
      ask: (signal) =>
        server
          .unary(new grpc.Metadata(), (call) => signal?.addEventListener('abort', () => call.cancel()))
          .then(
            () => 200,
            () => 'cut',
          ),
    };
  },
};

describe.each(Object.keys(servers))('%s', (name) => {
  const open = async (spec: string) => {
    const carrier = await openCarrier('embedded', yaml(spec));
    opened.push(() => carrier.close());
    const seen = { handled: 0 };
    const server = await (servers[name] as NonNullable<(typeof servers)[string]>)(carrier.mesh, () => seen.handled++);
    return { ...server, mesh: carrier.mesh, seen };
  };

  test('requests are held up, and nothing is done for one whose caller has left', async () => {
    const { ask, mesh, seen } = await open('delay: { fixedDelay: 1h }');
    const controller = new AbortController();
    const asking = ask(controller.signal);
    await vi.waitFor(() => expect(mesh.prometheus()).toContain('mesh_fault="delay"'), WAIT);
    controller.abort();
    expect(await asking).toBe('cut');
    expect(seen.handled).toBe(0);
  });

  test('requests are held up for a while, and then served', async () => {
    const { ask, seen } = await open('delay: { exponential: { mean: 5ms, max: 20ms } }');
    expect([await ask(), seen.handled]).toEqual([200, 1]);
  });

  test('connections are cut, and the handler does not run', async () => {
    const { ask, seen } = await open('reset: {}');
    expect([await ask(), seen.handled]).toEqual(['cut', 0]);
  });

  test.each([
    ['abort: { httpStatus: 503, percentage: 90 }', 503],
    ['reset: { percentage: 90 }', 'cut'],
  ])('an experiment stops itself by what this server sees: %s', async (fault, expected) => {
    const guards = '[{ successRate: { minimum: 95, minimumRequests: 10 } }]';
    const experiment = `experiment: { run: "${name} ${expected}", duration: 1h, guards: ${guards} }`;
    const { ask, mesh } = await open(`${fault}, ${experiment}`);
    const answers: unknown[] = [];
    for (let i = 0; i < 30; i++) answers.push(await ask());
    expect(answers.slice(0, 10)).toContain(name === 'grpc-js' ? 'cut' : expected);
    expect(answers.slice(14)).toEqual(Array(16).fill(200));
    expect(mesh.prometheus()).toContain('mesh_experiment_reason="success-rate"');
  });
});
