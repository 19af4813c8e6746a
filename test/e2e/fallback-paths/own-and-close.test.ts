import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import type { FallbackFunction, FallbackReply } from '../../../src/index.js';
import { FakeClock, settle, type TestHandler, type TestMesh, testMesh } from '../../../src/testing/index.js';

/* How long a function that answers in place of a service is awaited, and that closing the mesh ends the wait. */

const meshes: TestMesh[] = [];
beforeEach(() => {
  waits = 0;
});
afterEach(async () => {
  for (const mesh of meshes.splice(0)) await mesh.close();
});

/** How often something that never answers has been asked. */
let waits = 0;
const never = (): Promise<never> => {
  waits++;
  return new Promise(() => {});
};
const waiting = (times: number) => vi.waitFor(() => expect(waits).toBe(times));
const busy: TestHandler = () => new Response(null, { status: 503 });
const mine = (): FallbackReply => ({ body: 'own' });
const POLICY = `
apiVersion: inmesh.dev/v1alpha1
kind: TrafficPolicy
metadata: { name: reviews }
spec: { targetRefs: [{ kind: Service, group: "", name: reviews }], fallback: [{ function: { name: slow } }] }
`;
const ROUTE = `
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: { name: reviews }
spec:
  parentRefs: [{ kind: Service, group: "", name: reviews }]
  rules: [{ backendRefs: [{ name: reviews, port: 80 }], timeouts: { request: 1s } }]
`;

function open(reviews: TestHandler, config = '', fallbacks: Record<string, FallbackFunction> = {}) {
  const clock = new FakeClock();
  const mesh = testMesh({ clock, services: { reviews }, config, fallbacks });
  meshes.push(mesh);
  const ask = (options: object = {}): { readonly outcome: string | undefined } => {
    const asked: { outcome: string | undefined } = { outcome: undefined };
    mesh.fetch('http://reviews/', { mesh: { retry: false, ...options } }).then(
      async (reply) => {
        asked.outcome = `${reply.status} ${await reply.text()}`.trim();
      },
      (error: { readonly code: string }) => {
        asked.outcome = error.code;
      },
    );
    return asked;
  };
  const pass = async (seconds: number): Promise<void> => {
    for (let i = 0; i < seconds; i++) {
      await clock.advance(1_000);
      for (let turn = 0; turn < 5; turn++) await settle();
    }
  };
  return { mesh, clock, ask, pass };
}

describe("a call's own function", () => {
  test('answers after the limit of its route, and after the 15 s that are the default', async () => {
    for (const config of [ROUTE, '']) {
      waits = 0;
      const { ask, pass } = open(never, config);
      const [unlimited, limited] = [ask({ fallback: mine }), ask({ fallback: mine, timeoutMs: 60_000 })];
      await waiting(2);
      await pass(16);
      await vi.waitFor(() => expect(unlimited.outcome).toBe('200 own'));
      await pass(45);
      // Of a call that has a limit, the default takes nothing.
      await vi.waitFor(() => expect(limited.outcome).toBe(config === ROUTE ? '200 own' : 'DEADLINE_EXCEEDED'));
    }
  });

  test("is not asked after the call's own deadline", async () => {
    const { ask, pass } = open(never);
    const asked = ask({ fallback: mine, timeoutMs: 2_000 });
    await waiting(1);
    await pass(3);
    await vi.waitFor(() => expect(asked.outcome).toBe('DEADLINE_EXCEEDED'));
  });

  test('is awaited for 15 s where the call has no deadline: then what the call came to stands', async () => {
    const { ask, pass } = open(busy);
    const asked = ask({ fallback: never });
    await waiting(1);
    await pass(14);
    expect(asked.outcome).toBeUndefined();
    await pass(2);
    await vi.waitFor(() => expect(asked.outcome).toBe('503'));
  });

  test("is awaited as long as the call's deadline where it has one", async () => {
    const { ask, pass } = open(busy);
    const asked = ask({ fallback: never, timeoutMs: 20_000 });
    await waiting(1);
    await pass(19);
    expect(asked.outcome).toBeUndefined();
    await pass(2);
    await vi.waitFor(() => expect(asked.outcome).toBe('503'));
  });

  test('is cancelled with the call', async () => {
    const { mesh, ask, pass } = open(busy);
    const abort = new AbortController();
    const left = mesh.fetch('http://reviews/', { signal: abort.signal, mesh: { retry: false, fallback: never } });
    const stays = ask({ fallback: mine });
    await waiting(1);
    abort.abort();
    await expect(left).rejects.toThrow('aborted');
    await pass(1);
    await vi.waitFor(() => expect(stays.outcome).toBe('200 own'));
  });
});

describe('closing the mesh', () => {
  test.each([
    ['that the configuration names', POLICY, {}],
    ['that the call brings along', '', { fallback: never }],
  ])('ends calls that wait for a function %s, and leaves no timer', async (_, config, options) => {
    const { mesh, clock, ask } = open(busy, config, { slow: never });
    const [asked, limited] = [ask(options), ask({ ...options, timeoutMs: 60_000 })];
    await waiting(2);
    expect([asked.outcome, limited.outcome]).toEqual([undefined, undefined]);
    await mesh.close();
    await vi.waitFor(() => expect([asked.outcome, limited.outcome]).toEqual(['MESH_CLOSED', 'MESH_CLOSED']));
    expect(clock.pending).toBe(0);
  });

  test('is no failure that something stands in for', async () => {
    const { mesh, ask } = open(never);
    const asked = ask({ fallback: { body: 'static' } });
    await waiting(1);
    await mesh.close();
    await vi.waitFor(() => expect(asked.outcome).toBe('MESH_CLOSED'));
  });
});
