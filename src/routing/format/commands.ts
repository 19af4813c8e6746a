import { hostname } from 'node:os';
import type { Random } from '../../core/random.js';
import { address } from './addresses.js';
import { grpcStatus, replyField, responseFlags } from './reply-values.js';
import { queryParameter, requestField, requestFieldWithoutQuery, requestPath } from './request-values.js';
import { compileTime, LOCAL, UTC, type Zone } from './time.js';
import type { FormatEnv, FormatRequest, Value } from './values.js';

/** How a command is written, and what it stands for. */
export interface Command {
  /** What may stand in parentheses. */
  readonly argument: 'none' | 'optional' | 'required';
  /** Whether `:10` may cut it. */
  readonly length: boolean;
  /** Throws an Error for an argument that it does not know. */
  compile(argument: string): Value;
}

const plain = (value: Value): Command => ({ argument: 'none', length: false, compile: () => value });
const required = (compile: (argument: string) => Value): Command => ({ argument: 'required', length: true, compile });
const optional = (compile: (argument: string | undefined) => Value, length = false): Command => ({
  argument: 'optional',
  length,
  compile: (argument) => compile(argument === '' ? undefined : argument),
});

const nothing: Value = () => undefined;

/** A command that Envoy knows and for which no value exists here: nothing stands in its place. */
const none = plain(nothing);
const noneOf: Command = { argument: 'optional', length: true, compile: () => nothing };

/** Headers go before trailers come. */
function trailerField(argument: string): Value {
  replyField(argument);
  return nothing;
}

const upstream = address(({ record }: FormatRequest) => record?.endpoint);
const remote = address(({ downstream }: FormatRequest) => downstream?.remote);
const local = address(({ downstream }: FormatRequest) => downstream?.local);

const time =
  (zone: Zone, at: (request: FormatRequest, env: FormatEnv) => number) =>
  (argument: string | undefined): Value => {
    const render = compileTime(argument);
    return (request, _reply, env) => render(at(request, env), zone);
  };

/** Wall time at which the call began. */
function startedAt({ record }: FormatRequest, { clock }: FormatEnv): number {
  const since = record === undefined ? 0 : clock.now() - record.startedAt;
  return clock.wallTime() - since;
}

const now = (_request: FormatRequest, { clock }: FormatEnv): number => clock.wallTime();

/** A random UUID (RFC 9562, version 4). */
function uuid(random: Random): string {
  const hex = Array.from({ length: 32 }, () => random.int(16).toString(16));
  hex[12] = '4';
  hex[16] = (8 + random.int(4)).toString(16);
  const digits = hex.join('');
  return [digits.slice(0, 8), digits.slice(8, 12), digits.slice(12, 16), digits.slice(16, 20), digits.slice(20)].join(
    '-',
  );
}

/** Of a cluster that the route names and that is not there, nothing is said (Envoy). */
const clusterOf = ({ record }: FormatRequest): string | undefined =>
  record?.flags?.includes('NC') === true ? undefined : record?.cluster;
const clusterName = plain(clusterOf);
/** From 1 as soon as the call is to be forwarded (Envoy); 0 for a reply of the route's own. */
const attempts: Value = (request) => {
  const { record } = request;
  return record === undefined ? undefined : String(clusterOf(request) === undefined ? 0 : Math.max(1, record.attempts));
};
const protocol: Value = (request) =>
  request.downstream?.protocol ?? (request.protocol === 'grpc' ? 'HTTP/2' : 'HTTP/1.1');
/** Milliseconds to the head of the reply. */
const responseDuration: Value = ({ record }, reply, { clock }) =>
  reply === undefined || record === undefined ? undefined : String(Math.floor(clock.now() - record.startedAt));

let host: string | undefined;

/**
 * The commands of Envoy's substitution formatter (access log, "Command operators"), but for `%ENVIRONMENT(X)%`. In a header a command without a
 * value leaves nothing in its place, where an access log would have a "-".
 */
export const COMMANDS: ReadonlyMap<string, Command> = new Map<string, Command>([
  ['REQ', required(requestField)],
  ['REQ_WITHOUT_QUERY', required(requestFieldWithoutQuery)],
  ['PATH', optional(requestPath, true)],
  ['QUERY_PARAM', required(queryParameter)],
  ['RESP', required(replyField)],
  ['TRAILER', required(trailerField)],
  ['PROTOCOL', plain(protocol)],
  ['START_TIME', optional(time(UTC, startedAt))],
  ['START_TIME_LOCAL', optional(time(LOCAL, startedAt))],
  ['EMIT_TIME', optional(time(UTC, now))],
  ['EMIT_TIME_LOCAL', optional(time(LOCAL, now))],
  ['RESPONSE_CODE', plain((_request, reply) => String(reply?.status ?? 0))],
  ['RESPONSE_FLAGS', plain(responseFlags)],
  ['RESPONSE_DURATION', plain(responseDuration)],
  ['GRPC_STATUS', optional(grpcStatus)],
  ['GRPC_STATUS_NUMBER', plain(grpcStatus('NUMBER'))],
  ['ROUTE_NAME', plain(({ record }) => record?.route)],
  ['UPSTREAM_CLUSTER', clusterName],
  ['UPSTREAM_CLUSTER_RAW', clusterName],
  ['UPSTREAM_HOST', plain(upstream.whole)],
  ['UPSTREAM_REMOTE_ADDRESS', plain(upstream.whole)],
  ['UPSTREAM_REMOTE_ADDRESS_WITHOUT_PORT', plain(upstream.withoutPort)],
  ['UPSTREAM_REMOTE_PORT', plain(upstream.port)],
  ['UPSTREAM_REQUEST_ATTEMPT_COUNT', plain(attempts)],
  ['DOWNSTREAM_REMOTE_ADDRESS', plain(remote.whole)],
  ['DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT', plain(remote.withoutPort)],
  ['DOWNSTREAM_REMOTE_PORT', plain(remote.port)],
  ['DOWNSTREAM_DIRECT_REMOTE_ADDRESS', plain(remote.whole)],
  ['DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT', plain(remote.withoutPort)],
  ['DOWNSTREAM_DIRECT_REMOTE_PORT', plain(remote.port)],
  ['DOWNSTREAM_LOCAL_ADDRESS', plain(local.whole)],
  ['DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT', plain(local.withoutPort)],
  ['DOWNSTREAM_LOCAL_PORT', plain(local.port)],
  ['DOWNSTREAM_PEER_URI_SAN', plain(({ source }) => source?.principal)],
  ['TRACE_ID', plain(({ record }) => record?.traceId)],
  ['SPAN_ID', plain(({ record }) => record?.spanId)],
  ['UNIQUE_ID', plain((_request, _reply, { random }) => uuid(random))],
  ['HOSTNAME', plain(() => (host ??= hostname()))],
  ...[
    'ACCESS_LOG_TYPE',
    'BYTES_RECEIVED',
    'BYTES_SENT',
    'CONNECTION_ID',
    'CONNECTION_TERMINATION_DETAILS',
    'DOWNSTREAM_HANDSHAKE_DURATION',
    'DOWNSTREAM_HEADER_BYTES_RECEIVED',
    'DOWNSTREAM_HEADER_BYTES_SENT',
    'DOWNSTREAM_LOCAL_DNS_SAN',
    'DOWNSTREAM_LOCAL_SUBJECT',
    'DOWNSTREAM_LOCAL_URI_SAN',
    'DOWNSTREAM_PEER_CERT',
    'DOWNSTREAM_PEER_DNS_SAN',
    'DOWNSTREAM_PEER_FINGERPRINT_1',
    'DOWNSTREAM_PEER_FINGERPRINT_256',
    'DOWNSTREAM_PEER_ISSUER',
    'DOWNSTREAM_PEER_SERIAL',
    'DOWNSTREAM_PEER_SUBJECT',
    'DOWNSTREAM_TLS_CIPHER',
    'DOWNSTREAM_TLS_SESSION_ID',
    'DOWNSTREAM_TLS_VERSION',
    'DOWNSTREAM_TRANSPORT_FAILURE_REASON',
    'DOWNSTREAM_WIRE_BYTES_RECEIVED',
    'DOWNSTREAM_WIRE_BYTES_SENT',
    'DURATION',
    'FILTER_CHAIN_NAME',
    'LOCAL_REPLY_BODY',
    'REQUEST_DURATION',
    'REQUEST_HEADERS_BYTES',
    'REQUEST_TX_DURATION',
    'RESPONSE_FLAGS_LONG',
    'RESPONSE_HEADERS_BYTES',
    'RESPONSE_TRAILERS_BYTES',
    'RESPONSE_TX_DURATION',
    'ROUNDTRIP_DURATION',
    'STREAM_ID',
    'TLS_JA3_FINGERPRINT',
    'TLS_JA4_FINGERPRINT',
    'UPSTREAM_CONNECTION_ID',
    'UPSTREAM_CONNECTION_POOL_READY_DURATION',
    'UPSTREAM_HEADER_BYTES_RECEIVED',
    'UPSTREAM_HEADER_BYTES_SENT',
    'UPSTREAM_HOST_NAME',
    'UPSTREAM_HOST_NAME_WITHOUT_PORT',
    'UPSTREAM_LOCAL_ADDRESS',
    'UPSTREAM_LOCAL_ADDRESS_WITHOUT_PORT',
    'UPSTREAM_LOCAL_DNS_SAN',
    'UPSTREAM_LOCAL_PORT',
    'UPSTREAM_LOCAL_SUBJECT',
    'UPSTREAM_LOCAL_URI_SAN',
    'UPSTREAM_PEER_CERT',
    'UPSTREAM_PEER_DNS_SAN',
    'UPSTREAM_PEER_ISSUER',
    'UPSTREAM_PEER_SUBJECT',
    'UPSTREAM_PEER_URI_SAN',
    'UPSTREAM_PROTOCOL',
    'UPSTREAM_TLS_CIPHER',
    'UPSTREAM_TLS_SESSION_ID',
    'UPSTREAM_TLS_VERSION',
    'UPSTREAM_TRANSPORT_FAILURE_REASON',
    'UPSTREAM_WIRE_BYTES_RECEIVED',
    'UPSTREAM_WIRE_BYTES_SENT',
    'VIRTUAL_CLUSTER_NAME',
  ].map((name) => [name, none] as const),
  ...[
    'CLUSTER_METADATA',
    'COMMON_DURATION',
    'CUSTOM_FLAGS',
    'DOWNSTREAM_PEER_CERT_V_END',
    'DOWNSTREAM_PEER_CERT_V_START',
    'DYNAMIC_METADATA',
    'FILTER_STATE',
    'PER_REQUEST_STATE',
    'QUERY_PARAMS',
    'REQUESTED_SERVER_NAME',
    'RESPONSE_CODE_DETAILS',
    'UPSTREAM_FILTER_STATE',
    'UPSTREAM_METADATA',
    'UPSTREAM_PEER_CERT_V_END',
    'UPSTREAM_PEER_CERT_V_START',
  ].map((name) => [name, noneOf] as const),
]);
