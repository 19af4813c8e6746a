import type * as grpc from '@grpc/grpc-js';
import type { Mesh } from '../../../src/index.js';
import { ECHO } from '../support/backend.js';
import { type FaceName, openEcho } from '../support/echo.js';

/** What a caller sees: who answered, and the kind of fallback when it was one; or the code of the error. */
export interface Seen {
  readonly id?: string;
  readonly fallback?: string | undefined;
  readonly error?: string;
}

export interface Asker {
  ask(headers?: Readonly<Record<string, string>>): Promise<Seen>;
  close(): Promise<void>;
}

/** Reading does no harm: calls may be repeated. */
const IDEMPOTENT: grpc.ServiceDefinition = {
  get: {
    ...(ECHO['get'] as grpc.MethodDefinition<unknown, unknown>),
    options: { idempotency_level: 'NO_SIDE_EFFECTS' },
  },
} as grpc.ServiceDefinition;

/** Calls to `reviews`, by one face. */
export async function openAsker(face: FaceName, mesh: Mesh): Promise<Asker> {
  const echo = await openEcho(face, mesh, 'reviews', IDEMPOTENT);
  const { close } = echo;
  return {
    ask: async (headers = {}) => {
      if (echo.kind === 'grpc') {
        const { status, id, header } = await echo.get({ headers });
        return id === undefined ? { error: status } : { id, fallback: header('inmesh-fallback') };
      }
      try {
        const { status, body, header } = await echo.get({ headers });
        const said = JSON.parse(body) as { id?: string; code?: string };
        if (status !== 200) return { error: said.code ?? `HTTP ${status}` };
        return { id: said.id as string, fallback: header('inmesh-fallback') };
      } catch (error) {
        return { error: (error as { code: string }).code };
      }
    },
    close,
  };
}
