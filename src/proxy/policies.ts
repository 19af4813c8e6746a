import type { Socket } from 'node:net';
import type { Clock } from '../core/clock.js';
import { appendHeader, endToEndHeaders, type HeaderFields, headerFields } from '../core/headers.js';
import type { Meter } from '../core/meter.js';
import { Configured } from '../server/configured.js';
import { type InboundContext, inboundContext } from '../server/context.js';
import { downstreamOf, peerAddress } from '../server/downstream.js';
import type { Passage } from '../server/gate.js';
import type { ServerParts } from '../server/parts.js';
import { canPeek, peekBody } from '../server/peek-body.js';
import { grpcRefusalMetadata, type Refusal as ServerRefusal } from '../server/refusal.js';
import { sourceOf } from '../server/tls/carrier.js';
import type { InboundView } from '../server/view.js';
import type { Refusal } from './refusal.js';
import { type Accepted, CONSUMED, type RequestHead } from './request.js';

/** What comes with a request besides its head. */
export interface Carried {
  readonly socket: Socket | undefined;
  /** Whose body can be looked at: a request of node:http, or what is like it. */
  readonly raw: object;
}

/**
 * Holds the requests that come to a proxy to what the configuration says for servers of a service (authentication, authorization, external authorization, limits, faults,
 * concurrency), by the gates that the middleware of servers has.
 */
export class ProxyPolicies {
  readonly #configured: Configured;

  constructor(
    service: string,
    mesh: { readonly meter: Meter; readonly servers: ServerParts },
    private readonly options: { readonly clock: Clock; readonly trustedHops: number },
  ) {
    this.#configured = Configured.from(service, mesh) as Configured;
  }

  /** The context of a request. `accepted.headers` are those that policies see, and change. */
  context(head: RequestHead, accepted: Accepted, { socket, raw }: Carried): InboundContext {
    const { clock, trustedHops } = this.options;
    const context = inboundContext(accepted.headers, clock);
    const { protocol, scheme, authority, path, headers } = accepted;
    const view: InboundView & { readonly downstream: ReturnType<typeof downstreamOf> } = {
      protocol,
      scheme,
      method: head.method,
      host: authority,
      path,
      headers,
      peer: peerAddress(socket),
      raw,
      peek: canPeek(raw) ? (maxBytes) => peekBody(raw, headers, maxBytes) : undefined,
      source: sourceOf(socket),
      downstream: downstreamOf(socket, head.version === '2.0' ? 'HTTP/2' : `HTTP/${head.version}`),
    };
    context.makeView = () => view;
    context.connection = socket;
    context.trustedHops = trustedHops;
    return context;
  }

  refusal(context: InboundContext, protocol: Accepted['protocol']): Passage | Promise<Passage> {
    return this.#configured.refusal(context, protocol);
  }

  withdrawn(context: InboundContext): void {
    this.#configured.withdrawn(context);
  }
}

/** What the gates want of the request that goes on: claims in headers, no token, what an authorization service adds. */
export function requestHeaders({ requestHeaders: changes }: InboundContext, headers: HeaderFields): HeaderFields {
  if (changes === undefined) return headers;
  for (const name in changes) {
    const value = changes[name] as string | string[];
    if (value.length === 0) delete headers[name];
    else headers[name] = value;
  }
  // Where to and how long is no matter of theirs.
  const kept = endToEndHeaders(headers);
  for (const name of CONSUMED) delete kept[name];
  return kept;
}

/** What the gates have to say in the head of the reply. */
export function addReplyHeaders(context: InboundContext | undefined, headers: HeaderFields): void {
  const more = context?.replyHeaders;
  if (more === undefined) return;
  for (const name in more) {
    // The route of the call may have said the same already, and to browsers two values are none.
    if (name.startsWith('access-control-')) delete headers[name];
    for (const value of [more[name] as string | string[]].flat()) appendHeader(headers, name, value);
  }
}

/** A refusal of a server, as one of the proxy's. */
export function proxyRefusal(refusal: ServerRefusal): Refusal {
  const { retryAfterMs, reset: _, ...rest } = refusal;
  const headers = headerFields(refusal.headers);
  if (retryAfterMs !== undefined) headers['retry-after'] ??= String(Math.ceil(retryAfterMs / 1_000));
  return { ...rest, origin: 'mesh', headers, grpcHeaders: grpcRefusalMetadata(refusal) };
}
