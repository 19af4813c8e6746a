import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

/** A call's number and who made it: `<side>-<number>`. Every request carries it. */
export const CALL_ID = 'x-call-id';
/** How often a backend fails the call, and how: `<count>;` and a status, `reset`, or `hang` for no answer at all; counted over all backends. */
export const FAIL = 'x-fail';

/** What a backend saw of one request. */
export interface Seen {
  readonly port: number;
  readonly method: string;
  readonly path: string;
  readonly headers: readonly (readonly [string, string])[];
}

/** HTTP servers on several ports that answer with what arrived, and remember it. */
export class Backends {
  readonly #servers: Server[] = [];
  /** All that arrived, by call. */
  readonly #arrived = new Map<string, Seen[]>();
  /** Times that each call was failed. */
  readonly #failed = new Map<string, number>();

  /** The first of them never fails a call: mirrored ones go there. */
  static async start(count: number): Promise<Backends> {
    const backends = new Backends();
    for (let i = 0; i < count; i++) {
      const server = createServer((request, response) => backends.#serve(request, response, i > 0));
      server.keepAliveTimeout = 0;
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
      backends.#servers.push(server);
    }
    return backends;
  }

  get ports(): readonly number[] {
    return this.#servers.map((server) => (server.address() as AddressInfo).port);
  }

  seen(call: string): readonly Seen[] {
    return this.#arrived.get(call) ?? [];
  }

  async close(): Promise<void> {
    for (const server of this.#servers) {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      server.closeAllConnections();
      await closed;
    }
  }

  #serve(request: IncomingMessage, response: ServerResponse, mayFail: boolean): void {
    request.resume();
    const raw = request.rawHeaders;
    const headers = raw.flatMap((name, i) =>
      i % 2 === 0 ? [[name.toLowerCase(), raw[i + 1] as string] as const] : [],
    );
    const seen: Seen = {
      port: request.socket.localPort as number,
      method: request.method as string,
      path: request.url as string,
      headers,
    };
    const call = String(request.headers[CALL_ID] ?? '');
    const before = this.#arrived.get(call);
    if (before === undefined) this.#arrived.set(call, [seen]);
    else before.push(seen);
    const [count = '0', how = ''] = String(request.headers[FAIL] ?? '').split(';');
    const failed = this.#failed.get(call) ?? 0;
    if (mayFail && failed < Number(count)) {
      this.#failed.set(call, failed + 1);
      if (how === 'hang') return;
      if (how === 'reset') {
        request.socket.destroy();
        return;
      }
      response.writeHead(Number(how), { 'x-reply': 'failed', 'x-retriable': 'yes' });
      response.end('failed as asked');
      return;
    }
    const fields: Record<string, string> = { 'x-reply': 'first', 'x-other': 'second', vary: 'accept' };
    response.writeHead(200, fields);
    response.end('served');
  }
}
