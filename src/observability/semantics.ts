import type { Call } from '../core/call.js';
import { grpcStatusOf } from '../core/classify.js';
import { grpcStatusName } from '../core/grpc-status.js';
import type { Finished } from '../core/meter.js';

/** The name of a gRPC status; a number that gRPC does not define stays a number. */
export const grpcStatusText = (status: number): string => grpcStatusName(status) ?? String(status);

/** "known" methods: "the ones listed in RFC9110 and the PATCH method defined in RFC5789" - OTel HTTP spans. */
const KNOWN_METHODS = new Set(['GET', 'HEAD', 'POST', 'PUT', 'DELETE', 'CONNECT', 'OPTIONS', 'TRACE', 'PATCH']);

/** `http.request.method`: "If the HTTP request method is not known to instrumentation, it MUST set [it] to `_OTHER`". */
export const knownMethod = (method: string): string => (KNOWN_METHODS.has(method) ? method : '_OTHER');

/** `rpc.method`, fully qualified: `package.Service/Method`. */
export const rpcMethod = (path: string): string => (path.startsWith('/') ? path.slice(1) : path);

export interface ServerName {
  /** `server.address`: the logical name that the application asked for. */
  readonly address: string;
  /** `server.port`: as written, else the scheme's own. */
  readonly port: number;
}

/** The logical server of a call, from its authority: `reviews`, `reviews:8080`, `[::1]:9001`. */
export function serverName(authority: string, scheme: string): ServerName {
  const match = /^(.*?)(?::(\d{1,5}))?$/s.exec(authority);
  const host = match?.[1] ?? authority;
  const port = match?.[2];
  // A bare IPv6 address has colons but no port.
  if (port === undefined || (host.includes(':') && !host.endsWith(']'))) {
    return { address: unbracketed(authority), port: scheme === 'https' ? 443 : 80 };
  }
  return { address: unbracketed(host), port: Number(port) };
}

const unbracketed = (host: string): string => (host.startsWith('[') && host.endsWith(']') ? host.slice(1, -1) : host);

/** The gRPC status of a call that is over: the server's, else the one the error stands for, else UNKNOWN (2). */
export function grpcStatus(finished: Finished): number {
  const { reply, end, error } = finished;
  if (reply !== undefined) {
    const status = grpcStatusOf(reply, end);
    if (status !== undefined) return status;
  }
  return error?.grpcStatus ?? end?.error?.grpcStatus ?? 2;
}

/** What broke a call off, whether before the head or after it. */
export const failureOf = (finished: Finished): Finished['error'] => finished.error ?? finished.end?.error;

/**
 * `error.type`. HTTP: the status from 400 on, the error's code when it broke off. gRPC: the status's name for every status but OK
 * ("All status codes except `OK` SHOULD be considered errors"), the error's code when the server sent none. A caller that gave up
 * over HTTP is no error.
 */
export function errorType(finished: Finished): string | undefined {
  const failure = failureOf(finished);
  if (finished.call.protocol === 'grpc') {
    if (finished.reply !== undefined) {
      const status = grpcStatusOf(finished.reply, finished.end);
      if (status !== undefined) return status === 0 ? undefined : grpcStatusText(status);
    }
    return failure?.code ?? 'UNKNOWN';
  }
  if (failure !== undefined) return failure.code === 'CANCELLED' ? undefined : failure.code;
  const status = finished.reply?.status ?? 0;
  return status >= 400 ? String(status) : undefined;
}

/** Query parameters whose values are credentials. The list of OTel's `url.full`, 1.45; "Matching … SHOULD be case-sensitive". */
const SECRET_PARAMETERS = new Set([
  'X-Amz-Signature',
  'X-Amz-Credential',
  'X-Amz-Security-Token',
  'AWSAccessKeyId',
  'Signature',
  'sig',
  'X-Goog-Signature',
]);

/** A longer URL is cut: one line of a log is no place for a megabyte. */
const MAX_URL_LENGTH = 4_096;

/** The absolute URL of a call with credentials replaced by `REDACTED`; the key stays. */
export function redactedUrl(call: Call): string {
  const authority = call.authority.includes('@')
    ? `REDACTED:REDACTED@${call.authority.slice(call.authority.lastIndexOf('@') + 1)}`
    : call.authority;
  const url = `${call.scheme}://${authority}${redactedPath(call.path)}`;
  return url.length > MAX_URL_LENGTH ? `${url.slice(0, MAX_URL_LENGTH)}…` : url;
}

function redactedPath(path: string): string {
  const start = path.indexOf('?');
  if (start === -1) return path;
  const parameters = path.slice(start + 1).split('&');
  let redacted = false;
  for (let i = 0; i < parameters.length; i++) {
    const parameter = parameters[i] as string;
    const equals = parameter.indexOf('=');
    if (equals === -1 || !SECRET_PARAMETERS.has(decoded(parameter.slice(0, equals)))) continue;
    parameters[i] = `${parameter.slice(0, equals)}=REDACTED`;
    redacted = true;
  }
  return redacted ? `${path.slice(0, start)}?${parameters.join('&')}` : path;
}

/** A key may hide behind percent signs. */
function decoded(key: string): string {
  if (!key.includes('%')) return key;
  try {
    return decodeURIComponent(key);
  } catch {
    return key;
  }
}
