import type { IncomingMessage, ServerResponse } from 'node:http';
import type { MeshError } from '../core/errors.js';
import type { HeaderFields } from '../core/headers.js';
import { Exchange, type ExchangeEnv } from './exchange.js';
import { InboundBody } from './inbound-body.js';
import { BAD_REQUEST, type Refusal, refusalReply } from './refusal.js';
import type { Accepted, RequestHead } from './request.js';

/** An exchange over HTTP/1.1, or HTTP/1.0. */
class Http1Exchange extends Exchange {
  /** The client sends its body once it is told to; written false then. */
  #awaitsContinue: boolean;
  /** A chunk was sent, and the head before it. */
  #begun = false;

  constructor(
    env: ExchangeEnv,
    private readonly request: IncomingMessage,
    private readonly response: ServerResponse,
    expectsContinue: boolean,
  ) {
    super(env);
    this.#awaitsContinue = expectsContinue;
    response.on('drain', () => this.drained());
    response.on('close', () => this.gone());
    response.on('error', () => this.gone());
  }

  start(): void {
    const { request } = this;
    const head: RequestHead = {
      version: request.httpVersion === '1.0' ? '1.0' : '1.1',
      method: request.method as string,
      target: request.url as string,
      authority: undefined,
      scheme: undefined,
      raw: request.rawHeaders,
    };
    if (this.#awaitsContinue && this.env.policies !== undefined) {
      // They may want to look at the body.
      this.#awaitsContinue = false;
      this.response.writeContinue();
    }
    this.begin(head, request.socket, request);
  }

  protected override requestBody({ size }: Accepted): InboundBody | undefined {
    const { request, response } = this;
    if (size === 0 || (size === undefined && request.headers['transfer-encoding'] === undefined)) return undefined;
    return new InboundBody(
      {
        readable: request,
        size,
        wanted: () => {
          if (!this.#awaitsContinue || response.headersSent) return;
          this.#awaitsContinue = false;
          response.writeContinue();
        },
        whole: () => request.complete,
        trailers: () => trailersOf(request.rawTrailers),
      },
      this.env.limits.maxDiscardBytes,
    );
  }

  protected override sendHead(status: number, headers: HeaderFields): void {
    // A closing proxy asks for another connection. And a client that was never told to continue may or may not send its body now:
    // nobody can tell where its next request starts.
    if (this.env.draining() || this.#awaitsContinue) headers['connection'] = 'close';
    this.response.writeHead(status, headers);
  }

  protected override flushHead(): void {
    // Node sends the head together with the first chunk.
    if (!this.#begun) this.response.flushHeaders();
  }

  protected override sendChunk(chunk: Uint8Array): boolean {
    this.#begun = true;
    return this.response.write(chunk);
  }

  protected override sendEnd(trailers: HeaderFields | undefined): void {
    if (trailers !== undefined) {
      try {
        this.response.addTrailers(pairs(trailers));
      } catch {
        // A field that Node refuses: the body is whole without it.
      }
    }
    this.response.end();
  }

  protected override sendRefusal(refusal: Refusal): void {
    const { headers, body } = refusalReply(refusal);
    // After what was malformed nobody can be sure where the next request starts (RFC 9112 section 6.3).
    if (refusal.code === BAD_REQUEST) headers['connection'] = 'close';
    this.sendHead(refusal.status, headers);
    this.response.end(body);
  }

  protected override breakOff(_error: MeshError | undefined): void {
    const { response } = this;
    // Another response is being sent, and this one is none yet.
    if (response.socket === null) return void response.destroy();
    this.flushHead();
    // What is queued is the client's, and would go with the socket.
    response.socket.write('', () => response.destroy());
  }

  protected override cut(): void {
    // A reset, not an end: what a server that died is to its clients.
    this.request.socket.resetAndDestroy();
  }
}

/** Serves one request of a `node:http` server. `expectsContinue`: the client waits for `100 Continue` before it sends its body. */
export function serveHttp1(
  env: ExchangeEnv,
  request: IncomingMessage,
  response: ServerResponse,
  expectsContinue: boolean,
): void {
  new Http1Exchange(env, request, response, expectsContinue).start();
}

/** A reply for bytes that never became a request, or for a method that has no response object. */
export function rawRefusal(refusal: Refusal, reason: string): string {
  const { headers, body } = refusalReply(refusal);
  const fields = Object.keys(headers).map((name) => `${name}: ${headers[name] as string}\r\n`);
  return `HTTP/1.1 ${refusal.status} ${reason}\r\n${fields.join('')}connection: close\r\n\r\n${body.toString()}`;
}

function trailersOf(raw: readonly string[]): HeaderFields | undefined {
  if (raw.length === 0) return undefined;
  const fields: HeaderFields = Object.create(null);
  for (let i = 0; i + 1 < raw.length; i += 2) {
    const name = (raw[i] as string).toLowerCase();
    const value = raw[i + 1] as string;
    const before = fields[name];
    fields[name] = before === undefined ? value : [before, value].flat();
  }
  return fields;
}

/** Name and value, one pair for each value: what addTrailers takes. */
function pairs(fields: HeaderFields): [string, string][] {
  return Object.keys(fields).flatMap((name) =>
    [fields[name] as string | string[]].flat().map((value): [string, string] => [name, value]),
  );
}
