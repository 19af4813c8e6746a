import { type HeaderFields, headerFields, headerValue, isHopByHop } from '../../core/headers.js';
import type { AuthzService, ExtAuthz } from '../../core/model/ext-authz.js';
import type { Outbound } from '../../core/outbound.js';
import { CHECK_METHOD, writeCheckRequest } from './check-request.js';
import { readCheckResponse } from './check-response.js';
import { addChange, anyOf, isChangeable, type NameTest, shownHeaders } from './header-rules.js';
import { CheckFailure, type CheckSubject, type CheckVerdict } from './verdict.js';

/** Bytes of an answer. */
export const MAX_ANSWER_BYTES = 262_144;

/** Asks one service about requests. Rejects when it gives no answer that can be used: what becomes of the request then is for others to say. */
export type Checker = (subject: CheckSubject) => Promise<CheckVerdict>;

export function checker(config: ExtAuthz, ask: Outbound): Checker {
  const { service } = config;
  const shown = shownHeaders(config);
  return service.kind === 'grpc' ? overGrpc(config, service, shown, ask) : overHttp(service, shown, ask);
}

type Shown = (subject: CheckSubject) => HeaderFields;

function overGrpc(
  { body }: ExtAuthz,
  { cluster, timeoutMs, metadata }: Extract<AuthzService, { readonly kind: 'grpc' }>,
  shown: Shown,
  ask: Outbound,
): Checker {
  const headers = headerFields(Object.fromEntries(metadata.map(({ name, value }) => [name, value])));
  return async (subject) => {
    const message = writeCheckRequest(subject, shown(subject), body?.asBytes === true);
    const bytes = await ask.unary({
      authority: cluster,
      path: CHECK_METHOD,
      message,
      timeoutMs,
      maxMessageBytes: MAX_ANSWER_BYTES,
      metadata: headers,
    });
    const verdict = readCheckResponse(bytes);
    if (verdict === undefined) throw new CheckFailure(`"${cluster}" answered with what is no CheckResponse`);
    return verdict;
  };
}

/** Of a refusal, whatever is named: "the … Status, Content-Length, WWW-Authenticate and Location are automatically added" - ext_authz.proto. */
const ALWAYS_TO_CLIENT: ReadonlySet<string> = new Set(['www-authenticate', 'location']);

/**
 * Envoy's `HttpService`: the request itself, without its body, under a prefix. 200 lets it through; a 5xx is no answer (Envoy); anything else is the refusal, and what the
 * client gets.
 */
function overHttp(service: Extract<AuthzService, { readonly kind: 'http' }>, shown: Shown, ask: Outbound): Checker {
  const { cluster, timeoutMs, host, scheme, pathPrefix, headersToAdd } = service;
  const upstream = anyOf(service.upstreamHeaders);
  const append = anyOf(service.upstreamHeadersToAppend);
  const named = anyOf(service.clientHeaders);
  const all = service.clientHeaders.length === 0;
  const onRefusal: NameTest = (name) => all || ALWAYS_TO_CLIENT.has(name) || named(name);
  const onSuccess = anyOf(service.clientHeadersOnSuccess);
  return async (subject) => {
    const headers = shown(subject);
    for (const { name, value } of headersToAdd) headers[name] = value;
    const bytes = subject.body?.bytes;
    if (subject.body !== undefined) headers['x-envoy-auth-partial-body'] = String(subject.body.partial);
    headers['content-length'] = String(bytes?.byteLength ?? 0);
    const reply = await ask.http({
      authority: cluster,
      cluster: true,
      host,
      scheme,
      method: subject.method,
      path: `${pathPrefix}${subject.path}`,
      headers,
      body: bytes,
      timeoutMs,
      maxBytes: MAX_ANSWER_BYTES,
    });
    if (reply.status >= 500) throw new CheckFailure(`"${cluster}" answered ${reply.status}`);
    if (reply.status !== 200)
      return { kind: 'denied', status: reply.status, headers: picked(reply.headers, onRefusal), body: reply.body };
    return {
      kind: 'allowed',
      set: picked(reply.headers, (name) => upstream(name) && !append(name)),
      append: picked(reply.headers, append),
      addIfAbsent: headerFields(),
      remove: [],
      reply: picked(reply.headers, onSuccess),
    };
  };
}

function picked(headers: HeaderFields, wanted: NameTest): HeaderFields {
  const found = headerFields();
  for (const name in headers) {
    if (isHopByHop(name) || !isChangeable(name) || !wanted(name)) continue;
    const value =
      name === 'set-cookie' ? [headers[name] as string | string[]].flat() : [headerValue(headers, name) as string];
    for (const one of value) addChange(found, name, one);
  }
  return found;
}
