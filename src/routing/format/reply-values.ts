import { grpcStatusName } from '../../core/grpc-status.js';
import { alternatives, first } from './request-values.js';
import type { FormatReply, Value } from './values.js';

/** `%RESP(X?Y)%`. */
export function replyField(argument: string): Value {
  const [name, other] = alternatives(argument);
  return (_request, reply) => {
    if (reply === undefined) return undefined;
    return field(reply, name) ?? (other === undefined ? undefined : field(reply, other));
  };
}

const field = (reply: FormatReply, name: string): string | undefined =>
  name === ':status' ? String(reply.status) : first(reply.headers[name]);

const camel = (name: string): string =>
  name === 'OK'
    ? name
    : name.replace(/([A-Z])([A-Z]*)_?/g, (_, head: string, tail: string) => head + tail.toLowerCase());

/** `%GRPC_STATUS(X)%`: X is CAMEL_STRING (the default), SNAKE_STRING or NUMBER. Known here for a reply that has it in its head. */
export function grpcStatus(argument: string | undefined): Value {
  const style = argument ?? 'CAMEL_STRING';
  if (!['CAMEL_STRING', 'SNAKE_STRING', 'NUMBER'].includes(style)) {
    throw new Error(`must be CAMEL_STRING, SNAKE_STRING or NUMBER, got "${style}"`);
  }
  return (_request, reply) => {
    const text = reply === undefined ? undefined : first(reply.headers['grpc-status']);
    if (text === undefined || style === 'NUMBER') return text;
    const name = grpcStatusName(Number(text));
    if (name === undefined) return text;
    return style === 'SNAKE_STRING' ? name : camel(name);
  };
}

/** `%RESPONSE_FLAGS%`: "-" when none was raised, as in Envoy. */
export const responseFlags: Value = ({ record }) => record?.flags?.join(',') ?? '-';

const LONG_FLAGS: Readonly<Record<string, string>> = {
  UH: 'NoHealthyUpstream',
  UF: 'UpstreamConnectionFailure',
  UO: 'UpstreamOverflow',
  NR: 'NoRouteFound',
  NC: 'NoClusterFound',
  URX: 'UpstreamRetryLimitExceeded',
  UT: 'UpstreamRequestTimeout',
  UR: 'UpstreamRemoteReset',
  UC: 'UpstreamConnectionTermination',
  LR: 'LocalReset',
  DC: 'DownstreamConnectionTermination',
  DT: 'DurationTimeout',
  UPE: 'UpstreamProtocolError',
  DPE: 'DownstreamProtocolError',
};

/** `%RESPONSE_FLAGS_LONG%`; flags of the mesh's own have no other name. */
export const longResponseFlags: Value = ({ record }) =>
  record?.flags?.map((flag) => LONG_FLAGS[flag] ?? flag).join(',') ?? '-';
