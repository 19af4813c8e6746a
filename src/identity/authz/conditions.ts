import { claimValues } from '../../core/claims.js';
import { contains, type Ip, parseIp, parseNetwork } from '../../core/ip.js';
import { headerValue } from '../../core/headers.js';
import type { AuthzCondition } from '../../core/model/authorization.js';
import type { HeaderMatch, StringMatch } from '../../core/model/match.js';
import type { CidrRange } from '../../core/model/server.js';
import { headerValueTest } from '../../routing/match/headers.js';
import { stringTest } from '../../routing/match/strings.js';
import { pseudoHeader } from '../../routing/request.js';
import type { AuthzRequest, Test } from './request.js';
import { timeTest } from './time.js';

/** What conditions need from outside. */
export interface AuthzEnv {
  /** Milliseconds since 1970. */
  readonly wallTime: () => number;
}

/**
 * Compiles a condition. `wide`: where it is not certain whether a repeated header matches, or an address that nobody knows, it does: for what denies, and for what is
 * negated in what allows. So who adds a second value, or is gone before anybody looks, gets round no rule.
 */
export function conditionTest(condition: AuthzCondition, env: AuthzEnv, wide: boolean): Test {
  switch (condition.kind) {
    case 'and': {
      const tests = condition.of.map((of) => conditionTest(of, env, wide));
      return tests.length === 1 ? (tests[0] as Test) : (request) => tests.every((test) => test(request));
    }
    case 'or': {
      const tests = condition.of.map((of) => conditionTest(of, env, wide));
      return tests.length === 1 ? (tests[0] as Test) : (request) => tests.some((test) => test(request));
    }
    case 'not': {
      const test = conditionTest(condition.of, env, !wide);
      return (request) => !test(request);
    }
    case 'any':
      return () => true;
    case 'header':
      return headerCondition(condition.header, wide);
    case 'path': {
      const test = stringTest(condition.match);
      return (request) => test(request.judgedPath);
    }
    case 'destination-ip':
      return networkTest(condition.range, (request) => request.localAddress, wide);
    case 'peer-ip':
      return networkTest(condition.range, (request) => request.peerAddress, wide);
    case 'remote-ip':
      return networkTest(condition.range, (request) => request.clientAddress, wide);
    case 'destination-port':
      return ({ localPort }) => (localPort === undefined ? wide : localPort === condition.port);
    case 'server-name': {
      const test = stringTest(condition.match);
      return (request) => test(request.serverName);
    }
    case 'authenticated':
      return authenticated(condition.name);
    case 'metadata':
      return () => condition.invert;
    case 'time': {
      const test = timeTest(condition.window);
      return () => test(env.wallTime());
    }
    case 'claim': {
      const { path } = condition;
      const test = stringTest(condition.match);
      return ({ claims }) => claims !== undefined && claimValues(claims, path).some(test);
    }
    case 'request-principal': {
      const test = stringTest(condition.match);
      return ({ claims }) => {
        const principal = requestPrincipal(claims);
        return principal !== undefined && test(principal);
      };
    }
  }
}

/** Headers of one connection are "considered not present" (gRFC A41). */
const UNSEEN = new Set(['te', 'connection', 'keep-alive', 'proxy-connection', 'transfer-encoding', 'upgrade']);

/**
 * "Multi-valued metadata is represented as the concatenation of the values along with a `,`" (gRFC A41, Envoy). What denies looks at each value besides, and so does an
 * inverted match of what allows: also at those that stand in one line with commas, which is the same (RFC 9110 section 5.3), and all that Node tells of HTTP/2.
 */
function headerCondition(match: HeaderMatch, wide: boolean): Test {
  const { name } = match;
  const test = headerValueTest(match);
  if (UNSEEN.has(name)) return () => test(undefined);
  const everyValue = !wide && match.invert && match.match.kind !== 'present';
  return (request) => {
    const pseudo = pseudoHeader(request, name);
    if (pseudo !== undefined) return test(pseudo);
    const joined = headerValue(request.headers, name);
    if (joined === undefined) return test(undefined);
    if (!test(joined)) return wide && joined.includes(',') && valuesOf(request.headers[name], joined).some(test);
    return !everyValue || !joined.includes(',') || valuesOf(request.headers[name], joined).every(test);
  };
}

/** Each value as it came, and each of those that are lists. */
const valuesOf = (given: string | readonly string[] | undefined, joined: string): string[] => [
  ...(typeof given === 'object' ? given : []),
  ...joined.split(',').map((value) => value.trim()),
];

function networkTest(range: CidrRange, addressOf: (request: AuthzRequest) => string | undefined, wide: boolean): Test {
  const network = parseNetwork(range);
  if (network === undefined) return () => wide;
  return (request) => {
    const address = addressOf(request);
    const ip = address === undefined ? undefined : ipOf(address);
    return ip === undefined ? wide : contains(network, ip);
  };
}

/** The last address that was parsed: one request is compared with many networks. */
let lastAddress = '';
let lastIp: Ip | undefined;

function ipOf(address: string): Ip | undefined {
  if (address !== lastAddress) {
    lastIp = parseIp(address);
    lastAddress = address;
  }
  return lastIp;
}

/** gRFC A41, "authenticated.principal_name", the four steps. */
function authenticated(name: StringMatch | undefined): Test {
  // "Authenticated is said to match if the connection uses TLS; a client certificate is not necessary."
  if (name === undefined) return (request) => request.secure;
  const test = stringTest(name);
  return (request) => request.secure && principalNames(request).some(test);
}

const NOBODY: readonly string[] = [''];

/** The names that a caller goes by: URI SANs, else DNS SANs, else its subject; '' without a certificate. */
export function principalNames({ peerIdentity: peer }: Pick<AuthzRequest, 'peerIdentity'>): readonly string[] {
  if (peer === undefined) return NOBODY;
  if (peer.uriSans.length > 0) return peer.uriSans;
  return peer.dnsSans.length > 0 ? peer.dnsSans : [peer.subject];
}

/** Istio's `source.requestPrincipal`. Undefined without a token that has both. */
export function requestPrincipal(claims: AuthzRequest['claims']): string | undefined {
  if (claims === undefined) return undefined;
  const { iss, sub } = claims;
  return typeof iss === 'string' && typeof sub === 'string' ? `${iss}/${sub}` : undefined;
}
