import type { Call } from '../../core/call.js';
import type { HashPolicy } from '../../core/model/route.js';
import type { Random } from '../../core/random.js';
import { cookieValue, type SetCookie } from '../cookies.js';
import { queryValue, type RequestView } from '../request.js';

/** xxHash64 (XXH64) of the text's UTF-8 bytes. */
export type Hash64 = (text: string, seed?: bigint) => bigint;

/** What hashing a call needs from outside. */
export interface HashEnv {
  readonly hash64: Hash64;
  /** For cookies that the mesh makes. */
  readonly random: Random;
  /** `io.grpc.channel_id`: one random number per mesh (gRFC A42). */
  readonly channelId: bigint;
}

/** A request of which a hash is made. */
export type HashRequest = RequestView & { readonly downstream?: Call['downstream'] };

/** What the policies make of one call. */
export interface Hashed {
  /** Undefined: nothing in the call says where it goes; a random one serves. */
  readonly hash: bigint | undefined;
  /** Cookies that were made for the call: the reply sets them. */
  readonly cookies: readonly SetCookie[] | undefined;
}

type Method = (request: HashRequest, env: HashEnv, cookies: SetCookie[]) => bigint | undefined;

const MASK = (1n << 64n) - 1n;

/**
 * Compiles a route's hash policies. Each that yields a value is mixed in: the sum so far is rotated by one bit to the left, then XORed (Envoy
 * `HashPolicyImpl::generateHash`, gRFC A42); after a terminal one that has yielded, or that follows one that has, no more is asked.
 */
export function compileHash(policies: readonly HashPolicy[]): (request: HashRequest, env: HashEnv) => Hashed {
  const methods = policies.map((policy) => ({ terminal: policy.terminal, of: method(policy) }));
  return (request, env) => {
    let hash: bigint | undefined;
    const cookies: SetCookie[] = [];
    for (const { terminal, of } of methods) {
      const value = of(request, env, cookies);
      if (value !== undefined) hash = hash === undefined ? value : (((hash << 1n) | (hash >> 63n)) & MASK) ^ value;
      if (terminal && hash !== undefined) break;
    }
    return { hash, cookies: cookies.length === 0 ? undefined : cookies };
  };
}

function method(policy: HashPolicy): Method {
  switch (policy.kind) {
    case 'header':
      return headerMethod(policy.name, policy.rewrite);
    case 'cookie':
      return cookieMethod(policy);
    case 'source':
      // The caller is this process itself when nobody else is: each process keeps to its own endpoint.
      return ({ downstream }, { hash64, channelId }) =>
        downstream?.remote === undefined ? channelId : hash64(hostOf(downstream.remote));
    case 'query':
      return ({ path }, { hash64 }) => {
        const value = queryValue(path, policy.name);
        return value === undefined ? undefined : hash64(value);
      };
    case 'filter_state':
      // "a new well-known key called io.grpc.channel_id" - A42; no other is known here.
      return policy.key === 'io.grpc.channel_id' ? (_request, { channelId }) => channelId : () => undefined;
  }
}

type Rewrite = Extract<HashPolicy, { kind: 'header' }>['rewrite'];

function headerMethod(name: string, rewrite: Rewrite): Method {
  const rewritten = (value: string): string =>
    rewrite === undefined ? value : rewrite.regex.replaceAll(value, rewrite.substitution);
  return (request, { hash64 }) => {
    const { protocol } = request;
    // "ignore headers with a `-bin` suffix" - A42.
    if (protocol === 'grpc' && name.endsWith('-bin')) return undefined;
    const value = fieldOf(request, name);
    if (value === undefined) return undefined;
    if (typeof value === 'string') return hash64(rewritten(value));
    // Envoy hashes each of several, sorted, with the hash so far as the seed; gRPC their values joined by commas (gRFC A42).
    if (protocol === 'grpc') return hash64(rewritten(value.join(',')));
    return value
      .map(rewritten)
      .sort()
      .reduce((seed, text) => hash64(text, seed), 0n);
  };
}

/** `content-type` "may need special handling" - A42: as gRPC servers see it, whatever the codec. */
function fieldOf(request: HashRequest, name: string): string | string[] | undefined {
  switch (name) {
    case ':path':
      return request.path;
    case ':authority':
    case 'host':
      return request.host;
    case ':method':
      return request.method;
    case 'content-type':
      return request.protocol === 'grpc' ? 'application/grpc' : request.headers[name];
    default:
      return request.headers[name];
  }
}

function cookieMethod({ name, path, ttlMs, attributes }: Extract<HashPolicy, { kind: 'cookie' }>): Method {
  return ({ headers }, { hash64, random }, cookies) => {
    const value = cookieValue(headers, name);
    if (value !== undefined && value !== '') return hash64(value);
    if (ttlMs === undefined) return undefined;
    const made = Array.from({ length: 16 }, () => random.int(16).toString(16)).join('');
    cookies.push({ name, value: made, path, ttlMs, attributes });
    return hash64(made);
  };
}

/** The address of `ip:port`, IPv6 without brackets (Envoy `addressAsString`). */
const hostOf = (address: string): string => {
  const host = address.slice(0, address.lastIndexOf(':'));
  return host.startsWith('[') ? host.slice(1, -1) : host;
};
