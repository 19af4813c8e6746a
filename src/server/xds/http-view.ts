import type { IncomingMessage } from 'node:http';
import type { IncomingHttpHeaders } from 'node:http2';
import type { Socket } from 'node:net';
import type { Downstream, Protocol, Scheme } from '../../core/call.js';
import { type HeaderFields, headerFields } from '../../core/headers.js';
import type { RequestView } from '../../routing/request.js';
import { downstreamOf } from '../downstream.js';

/** A node:http request as routes see it. Header fields are read when a route asks for one. */
export class Http1View implements RequestView {
  readonly protocol: Protocol = 'http';
  readonly scheme: Scheme = 'http';
  readonly method: string;
  readonly host: string;
  readonly path: string;
  #headers: HeaderFields | undefined;

  constructor(private readonly request: IncomingMessage) {
    const target = request.url ?? '/';
    this.method = request.method ?? 'GET';
    // "a server MUST ignore the received Host header field ... and instead use the host information of the request-target" - RFC 9112 3.2.2
    const absolute = /^https?:\/\/([^/?#]*)(.*)$/i.exec(target);
    this.host = absolute?.[1] ?? request.headers.host ?? '';
    const rest = absolute?.[2] ?? target;
    this.path = absolute !== null && !rest.startsWith('/') ? `/${rest}` : rest;
  }

  get downstream(): Downstream {
    return downstreamOf(this.request.socket, this.request.httpVersion === '1.0' ? 'HTTP/1.0' : 'HTTP/1.1');
  }

  get headers(): HeaderFields {
    // Every field as it came: `headers` leaves out what is repeated.
    this.#headers ??= headerFields(this.request.headersDistinct);
    return this.#headers;
  }
}

/** A node:http2 request as routes see it. */
export class Http2View implements RequestView {
  readonly protocol: Protocol;
  readonly scheme: Scheme = 'http';
  readonly method: string;
  readonly host: string;
  readonly path: string;
  #headers: HeaderFields | undefined;

  constructor(
    private readonly received: IncomingHttpHeaders,
    private readonly socket?: Socket,
  ) {
    this.protocol = isGrpc(received['content-type']) ? 'grpc' : 'http';
    this.method = received[':method'] ?? 'GET';
    this.host = received[':authority'] ?? received.host ?? '';
    this.path = received[':path'] ?? '/';
  }

  get downstream(): Downstream {
    return downstreamOf(this.socket, 'HTTP/2');
  }

  get headers(): HeaderFields {
    this.#headers ??= regular(this.received);
    return this.#headers;
  }
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
