import type { Mesh } from '../../../src/index.js';
import { type FaceName, openEcho } from '../support/echo.js';

/** What a caller sees of one call. */
export interface Seen {
  /** Who answered. */
  readonly id?: string;
  /** HTTP status; of gRPC the name of the status. */
  readonly status?: number | string;
  /** `mesh-error` of the reply. */
  readonly flag?: string | undefined;
  /** Code of the error, where there is no reply. */
  readonly error?: string;
}

export interface Asker {
  ask(headers?: Readonly<Record<string, string>>, timeoutMs?: number): Promise<Seen>;
  close(): Promise<void>;
}

/** Calls to `reviews`, by one face. */
export async function openAsker(face: FaceName, mesh: Mesh): Promise<Asker> {
  const echo = await openEcho(face, mesh, 'reviews');
  const { close } = echo;
  return {
    ask: async (headers = {}, timeoutMs) => {
      const asked = { headers, ...(timeoutMs !== undefined && { timeoutMs }) };
      if (echo.kind === 'grpc') {
        const { status, id, trailer } = await echo.get(asked);
        return id === undefined ? { status, flag: trailer('mesh-error') } : { status, id };
      }
      try {
        const { status, body, header } = await echo.get(asked);
        const flag = header('mesh-error');
        return status === 200 && flag === undefined
          ? { status, id: (JSON.parse(body) as { id: string }).id }
          : { status, flag };
      } catch (error) {
        return { error: (error as { code: string }).code };
      }
    },
    close,
  };
}
