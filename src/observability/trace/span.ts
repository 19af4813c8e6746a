import type { Call } from '../../core/call.js';
import type { Finished } from '../../core/meter.js';
import { type OtelAttributes, type OtelSpan, STATUS_ERROR } from '../otel/api.js';
import {
  errorType,
  failureOf,
  grpcStatus,
  grpcStatusText,
  knownMethod,
  redactedUrl,
  rpcMethod,
  serverName,
} from '../semantics.js';

/** HTTP: the method, never the path; gRPC: the full method (OTel HTTP spans, RPC spans: Span name). */
export function spanName(call: Call): string {
  if (call.protocol === 'grpc') return rpcMethod(call.path);
  const method = knownMethod(call.method);
  return method === '_OTHER' ? 'HTTP' : method;
}

/**
 * What is known when the attempt starts, so that samplers see it. The endpoint has been picked by now; it is read here and not at the
 * end, when the call's record may tell of a later attempt.
 */
export function startAttributes(call: Call): OtelAttributes {
  const attributes = call.protocol === 'grpc' ? rpcAttributes(call) : httpAttributes(call);
  const { endpoint, route, cluster, version } = call.record;
  if (endpoint !== undefined) addPeer(attributes, endpoint);
  if (route !== undefined) attributes['mesh.route'] = route;
  if (cluster !== undefined) attributes['mesh.cluster'] = cluster;
  if (version !== undefined) attributes['mesh.version'] = version;
  return attributes;
}

function rpcAttributes(call: Call): OtelAttributes {
  const { address, port } = serverName(call.authority, call.scheme);
  return {
    'rpc.system.name': 'grpc',
    'rpc.method': rpcMethod(call.path),
    'server.address': address,
    'server.port': port,
  };
}

function httpAttributes(call: Call): OtelAttributes {
  const { address, port } = serverName(call.authority, call.scheme);
  const method = knownMethod(call.method);
  const attributes: OtelAttributes = {
    'http.request.method': method,
    'server.address': address,
    'server.port': port,
    'url.full': redactedUrl(call),
  };
  if (method === '_OTHER') attributes['http.request.method_original'] = call.method;
  // "if and only if request was retried"
  if (call.attempt > 1) attributes['http.request.resend_count'] = call.attempt - 1;
  return attributes;
}

/** Adds how the attempt ended, and ends the span. */
export function finishSpan(span: OtelSpan, finished: Finished): void {
  const { call, reply } = finished;
  const attributes: OtelAttributes = {};
  if (call.protocol === 'grpc') attributes['rpc.status_code'] = grpcStatusText(grpcStatus(finished));
  else if (reply !== undefined) attributes['http.response.status_code'] = reply.status;
  const error = errorType(finished);
  if (error !== undefined) {
    attributes['error.type'] = error;
    const failure = failureOf(finished);
    // "Don't set the span status description if the reason can be inferred from http.response.status_code."
    span.setStatus(failure === undefined ? { code: STATUS_ERROR } : { code: STATUS_ERROR, message: failure.message });
  }
  span.setAttributes(attributes);
  span.end();
}

/** `endpoint` is `ip:port`, IPv6 in brackets. */
function addPeer(attributes: OtelAttributes, endpoint: string): void {
  const colon = endpoint.lastIndexOf(':');
  const port = Number(endpoint.slice(colon + 1));
  if (colon === -1 || !Number.isInteger(port)) return;
  attributes['network.peer.address'] = endpoint.slice(0, colon).replace(/^\[|\]$/g, '');
  attributes['network.peer.port'] = port;
}
