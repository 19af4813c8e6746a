import { hostname } from 'node:os';
import type { Random } from '../../core/random.js';
import { address } from './addresses.js';
import { grpcStatus, longResponseFlags, replyField, responseFlags } from './reply-values.js';
import {
  alternatives,
  queryParameter,
  queryParameters,
  requestedServerName,
  requestField,
  requestFieldWithoutQuery,
  requestPath,
} from './request-values.js';
import { compileTime, LOCAL, UTC, type Zone } from './time.js';
import { UNSET, UNSET_WITH_ARGUMENT } from './unset.js';
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

/** Headers go before trailers come: what names one is only checked. */
const trailer = required((argument) => {
  alternatives(argument);
  return nothing;
});

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
 * The commands of Envoy 1.40's substitution formatter ("Supported commands"), but for those that are `REFUSED`, and `%COALESCE(…)%`, which is made of
 * others (`coalesce.ts`). In a header a command without a value leaves nothing in its place, where an access log would have a "-".
 */
export const COMMANDS: ReadonlyMap<string, Command> = new Map<string, Command>([
  ['REQ', required(requestField)],
  ['REQUEST_HEADER', required(requestField)],
  ['REQ_WITHOUT_QUERY', required(requestFieldWithoutQuery)],
  ['PATH', optional(requestPath, true)],
  ['QUERY_PARAM', required(queryParameter)],
  ['QUERY_PARAMS', optional(queryParameters, true)],
  ['REQUESTED_SERVER_NAME', optional(requestedServerName)],
  ['RESP', required(replyField)],
  ['RESPONSE_HEADER', required(replyField)],
  ['TRAILER', trailer],
  ['RESPONSE_TRAILER', trailer],
  ['PROTOCOL', plain(protocol)],
  ['START_TIME', optional(time(UTC, startedAt))],
  ['START_TIME_LOCAL', optional(time(LOCAL, startedAt))],
  ['EMIT_TIME', optional(time(UTC, now))],
  ['EMIT_TIME_LOCAL', optional(time(LOCAL, now))],
  ['RESPONSE_CODE', plain((_request, reply) => String(reply?.status ?? 0))],
  ['RESPONSE_FLAGS', plain(responseFlags)],
  ['RESPONSE_FLAGS_LONG', plain(longResponseFlags)],
  ['RESPONSE_DURATION', plain(responseDuration)],
  ['GRPC_STATUS', optional(grpcStatus)],
  ['GRPC_STATUS_NUMBER', plain(grpcStatus('NUMBER'))],
  ['ROUTE_NAME', plain(({ record }) => record?.route)],
  ['UPSTREAM_CLUSTER', clusterName],
  ['UPSTREAM_CLUSTER_RAW', clusterName],
  ['UPSTREAM_HOST', plain(upstream.whole)],
  ['UPSTREAM_REMOTE_ADDRESS', plain(upstream.whole)],
  ['UPSTREAM_REMOTE_ADDRESS_WITHOUT_PORT', optional(upstream.withoutPort)],
  ['UPSTREAM_REMOTE_PORT', plain(upstream.port)],
  ['UPSTREAM_REQUEST_ATTEMPT_COUNT', plain(attempts)],
  ['DOWNSTREAM_REMOTE_ADDRESS', plain(remote.whole)],
  ['DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT', optional(remote.withoutPort)],
  ['DOWNSTREAM_REMOTE_PORT', plain(remote.port)],
  ['DOWNSTREAM_DIRECT_REMOTE_ADDRESS', plain(remote.whole)],
  ['DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT', optional(remote.withoutPort)],
  ['DOWNSTREAM_DIRECT_REMOTE_PORT', plain(remote.port)],
  ['DOWNSTREAM_LOCAL_ADDRESS', plain(local.whole)],
  ['DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT', optional(local.withoutPort)],
  ['DOWNSTREAM_LOCAL_PORT', plain(local.port)],
  ['DOWNSTREAM_DIRECT_LOCAL_ADDRESS', plain(local.whole)],
  ['DOWNSTREAM_DIRECT_LOCAL_ADDRESS_WITHOUT_PORT', optional(local.withoutPort)],
  ['DOWNSTREAM_DIRECT_LOCAL_PORT', plain(local.port)],
  ['DOWNSTREAM_PEER_URI_SAN', plain(({ source }) => source?.principal)],
  ['TRACE_ID', plain(({ record }) => record?.traceId)],
  ['SPAN_ID', plain(({ record }) => record?.spanId)],
  ['UNIQUE_ID', plain((_request, _reply, { random }) => uuid(random))],
  ['HOSTNAME', plain(() => (host ??= hostname()))],
  ...UNSET.map((name) => [name, none] as const),
  ...UNSET_WITH_ARGUMENT.map((name) => [name, noneOf] as const),
]);

/** Commands that Envoy has and that are refused here, each with the reason. */
export const REFUSED: ReadonlyMap<string, string> = new Map([
  // A control plane must not be able to send this process's secrets to a server of its choice.
  ['ENVIRONMENT', 'configuration from outside may not read variables of this process'],
  ['FILE_CONTENT', 'configuration from outside may not read files of this machine'],
  ['SECRET', 'configuration from outside may not read secrets of this process'],
  ['CEL', 'expressions are not evaluated here'],
  ['TYPED_CEL', 'expressions are not evaluated here'],
]);

/** Names of the commands that can have a value here. */
export const supportedCommands = (): string[] =>
  [...COMMANDS].flatMap(([name, command]) => (command === none || command === noneOf ? [] : [name])).sort();
