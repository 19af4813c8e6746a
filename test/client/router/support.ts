import { loadHash64 } from '../../../src/client/balancer/hash.js';
import { ClusterRegistry } from '../../../src/client/endpoints/registry.js';
import type { ClientEnv } from '../../../src/client/env.js';
import { Router } from '../../../src/client/router/router.js';
import type { Call, CallInit } from '../../../src/core/call.js';
import { type HeaderFields, headerFields } from '../../../src/core/headers.js';
import type { Route } from '../../../src/core/model/route.js';
import type { Reply } from '../../../src/core/reply.js';
import { aCall, aReply } from '../../support/calls.js';
import { memoryEnv } from '../../support/client-env.js';
import { settle } from '../../support/fake-clock.js';
import { aCluster, aTarget } from '../../support/targets.js';

type Answer = (endpoint: string, call: Call) => Reply | Promise<Reply>;

/** A router over clusters named a, b and c, with one endpoint each: 10.0.0.1:80, 10.0.0.2:80, 10.0.0.3:80. */
export async function routing(
  routes: readonly Route[],
  answer: Answer = () => aReply(),
  more: Partial<ClientEnv> = {},
) {
  const memory = memoryEnv(answer);
  const env: ClientEnv = { ...memory.env, hash64: await loadHash64(), ...more };
  const clusters = ['a', 'b', 'c'].map((name, i) => aCluster(name, [`10.0.0.${i + 1}:80`]));
  const router = new Router(aTarget(routes, clusters), new ClusterRegistry(env), env);
  return {
    ...memory,
    router,
    call: (init: Partial<Omit<CallInit, 'headers'>> = {}, headers: Record<string, string> = {}): Promise<Reply> =>
      router.service(aCall({ ...init, headers: headerFields(headers) })),
  };
}

/** Which cluster an endpoint of `routing` belongs to. */
export const clusterAt = (endpoint: string | undefined): string => 'abc'[Number(endpoint?.[7]) - 1] as string;

export const setCookies = (headers: HeaderFields): string[] => [headers['set-cookie'] ?? []].flat();

/** Lets time pass until the condition holds. */
export async function passUntil(clock: { advance(ms: number): Promise<void> }, done: () => boolean): Promise<void> {
  // What is loaded when it is needed takes real time, in which none may pass here.
  await import('../../../src/resilience/retry/repeat.js');
  while (!done()) {
    await settle();
    await clock.advance(50);
  }
}
