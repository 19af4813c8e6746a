import type { IncomingMessage } from 'node:http';
import type { Http2ServerRequest, IncomingHttpHeaders } from 'node:http2';
import type { Socket } from 'node:net';
import type { Readable } from 'node:stream';
import type { Downstream, Protocol, Scheme } from '../core/call.js';
import { type HeaderFields, headerFields } from '../core/headers.js';
import type { RequestView, Source } from '../routing/request.js';
import { downstreamOf, peerAddress } from './downstream.js';
import { type PeekedBody, peekBody, peekRequest } from './peek-body.js';
import { carrierOf, sourceOf } from './tls/carrier.js';

/** A request that came in, as routes and policies see it. */
export interface InboundView extends RequestView {
  /** Path and query; whoever takes something out of the query, for those who come after, does so here. */
  path: string;
  /** Of its verified token; where routes match by claims, whoever chooses one says them. */
  claims?: RequestView['claims'];
  /** IP address at the other end of the connection; undefined where it is not known. */
  readonly peer: string | undefined;
  /** The request as its server has it; the same object for all who look at the request. */
  readonly raw: object;
  /** Looks at the start of its body, which stays for the handler. Absent: nobody can. */
  readonly peek?: ((maxBytes: number) => Promise<PeekedBody>) | undefined;
  /** It has more than one Host field, of which each reader may believe another one. Absent: no. */
  readonly severalHosts?: boolean;
}

/** Of a node:http request as much as is read. Express puts the whole target into `originalUrl` where it cuts `url` for a router. */
type Request1 = IncomingMessage & { readonly originalUrl?: string };

/** A node:http request. Header fields are read when somebody asks for one. */
export class Http1View implements InboundView {
  readonly protocol: Protocol = 'http';
  readonly scheme: Scheme = 'http';
  readonly method: string;
  readonly host: string;
  path: string;
  readonly raw: object;
  #headers: HeaderFields | undefined;

  constructor(private readonly request: Request1) {
    this.raw = request;
    const target = request.originalUrl ?? request.url ?? '/';
    this.method = request.method ?? 'GET';
    // "a server MUST ignore the received Host header field ... and instead use the host information of the request-target" - RFC 9112 3.2.2
    const absolute = /^https?:\/\/([^/?#]*)(.*)$/i.exec(target);
    this.host = absolute?.[1] ?? request.headers.host ?? '';
    const rest = absolute?.[2] ?? target;
    this.path = absolute !== null && !rest.startsWith('/') ? `/${rest}` : rest;
  }

  get peer(): string | undefined {
    return peerAddress(this.request.socket);
  }

  get source(): Source | undefined {
    return sourceOf(this.request.socket);
  }

  get downstream(): Downstream {
    return downstreamOf(this.request.socket, this.request.httpVersion === '1.0' ? 'HTTP/1.0' : 'HTTP/1.1');
  }

  get headers(): HeaderFields {
    this.#headers ??= seenFields(this.request);
    return this.#headers;
  }

  peek(maxBytes: number): Promise<PeekedBody> {
    return peekBody(this.request, this.headers, maxBytes);
  }

  /** Node keeps the first one in `headers` and lets the request through. */
  get severalHosts(): boolean {
    const { rawHeaders } = this.request;
    let found = 0;
    for (let i = 0; i < rawHeaders.length; i += 2) {
      const name = rawHeaders[i] as string;
      if (name.length === 4 && name.toLowerCase() === 'host') found++;
    }
    return found > 1;
  }
}

/** A node:http2 request. */
export class Http2View implements InboundView {
  readonly raw: object;
  readonly protocol: Protocol;
  readonly scheme: Scheme = 'http';
  readonly method: string;
  readonly host: string;
  path: string;
  #headers: HeaderFields | undefined;

  constructor(
    private readonly received: IncomingHttpHeaders,
    private readonly socket: Socket | undefined,
    private readonly body: Readable,
  ) {
    // Node's stream and its request have these headers in common.
    this.raw = received;
    this.protocol = isGrpc(received['content-type']) ? 'grpc' : 'http';
    this.method = received[':method'] ?? 'GET';
    this.host = received[':authority'] ?? received.host ?? '';
    this.path = received[':path'] ?? '/';
  }

  get peer(): string | undefined {
    return peerAddress(this.socket);
  }

  get source(): Source | undefined {
    return sourceOf(this.socket);
  }

  get downstream(): Downstream {
    return downstreamOf(this.socket, 'HTTP/2');
  }

  get headers(): HeaderFields {
    this.#headers ??= regular(this.received);
    return this.#headers;
  }

  peek(maxBytes: number): Promise<PeekedBody> {
    return peekBody(this.body, this.headers, maxBytes);
  }
}

/** A request of a web server that is not Node's. Nobody says who is at the other end. */
export class WebView implements InboundView {
  readonly protocol: Protocol = 'http';
  readonly scheme: Scheme;
  readonly method: string;
  readonly host: string;
  path: string;
  readonly peer = undefined;
  readonly raw: object;
  #headers: HeaderFields | undefined;

  constructor(private readonly request: Request) {
    this.raw = request;
    const url = new URL(request.url);
    this.scheme = url.protocol === 'https:' ? 'https' : 'http';
    this.method = request.method;
    this.host = request.headers.get('host') ?? url.host;
    this.path = url.pathname + url.search;
  }

  get headers(): HeaderFields {
    this.#headers ??= headerFields(Object.fromEntries(this.request.headers));
    return this.#headers;
  }

  peek(maxBytes: number): Promise<PeekedBody> {
    return peekRequest(this.request, maxBytes);
  }
}

/** A request of node:http or of node:http2's interface that is like it. */
export const viewOf = (request: Request1 | Http2ServerRequest): InboundView =>
  'stream' in request
    ? new Http2View(request.headers, carrierOf(request) as Socket | undefined, request)
    : new Http1View(request);

/**
 * Every value of every field, but of those of which Node's `headers` keeps the first value and drops the others (`authorization`, `user-agent` and more, unless
 * the server has `joinDuplicateHeaders`) the first only: nobody is to be counted by what the application never sees.
 */
function seenFields({ headers, headersDistinct }: Request1): HeaderFields {
  const fields = headerFields(headersDistinct);
  for (const name in fields) {
    const values = fields[name] as string[];
    const first = values[0];
    if (values.length > 1 && first !== undefined && headers[name] === first) fields[name] = [first];
  }
  return fields;
}

/** `application/grpc`, alone or with `+proto` or a parameter; not `application/grpc-web`. */
const isGrpc = (contentType: string | undefined): boolean =>
  contentType !== undefined && /^application\/grpc($|[+; ])/i.test(contentType);

function regular(received: IncomingHttpHeaders): HeaderFields {
  const fields = headerFields();
  for (const name of Object.keys(received)) {
    const value = received[name];
    if (value !== undefined && !name.startsWith(':')) fields[name] = value;
  }
  return fields;
}
