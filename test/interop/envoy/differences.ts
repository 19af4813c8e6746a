import type { Outcome } from './client.js';

/** A way in which Envoy's outcome and ours may differ. */
interface Accepted {
  readonly reason: string;
  /** Envoy's outcome as it would be without the difference; the same object where it does not apply. */
  readonly adjust: (envoy: Outcome, ours: Outcome) => Outcome;
}

/** All that is accepted, each with its reason. */
export const ACCEPTED: readonly Accepted[] = [
  {
    reason: 'Why a call failed our proxy says in JSON, Envoy in plain text.',
    adjust: (envoy, ours) =>
      ours.flag === undefined
        ? envoy
        : { ...envoy, headers: envoy.headers.filter((field) => !field.startsWith('content-type:')) },
  },
  {
    reason:
      'A redirect leaves out the port that its scheme has anyway (Gateway API HTTPRequestRedirectFilter.port); by RFC 3986 section 6.2.3 the URIs are equivalent.',
    adjust: (envoy) => ({
      ...envoy,
      headers: envoy.headers.map((field) =>
        field.replace(/^(location: (?:http:\/\/[^/]*?(?=:80\/)|https:\/\/[^/]*?(?=:443\/))):\d+/, '$1'),
      ),
    }),
  },
  {
    reason:
      'Asked for no headers, a preflight for which all are allowed is told of none: "the gateway must omit the Access-Control-Allow-Headers response header" (HTTPCORSFilter); Envoy sends it empty.',
    adjust: (envoy) => ({
      ...envoy,
      headers: envoy.headers.filter((field) => field !== 'access-control-allow-headers: '),
    }),
  },
  {
    reason:
      'In a reply of its own, Envoy has no %RESPONSE_CODE% yet when it changes the headers, and writes 0, which is to say that no reply was begun; ours has it.',
    adjust: (envoy, ours) =>
      nothingArrived(envoy) || ours.flag !== undefined
        ? { ...envoy, headers: envoy.headers.map((field) => field.replaceAll('code=0', `code=${envoy.status}`)) }
        : envoy,
  },
  {
    reason:
      'Of several %RESPONSE_FLAGS% ours has first what came first: how the last attempt failed, then that there is no further one.',
    adjust: (envoy) => ({
      ...envoy,
      headers: envoy.headers.map((field) => field.replace(/flags=(URX),(U[A-Z])\b/g, 'flags=$2,$1')),
    }),
  },
  {
    reason:
      'Later attempts say which they are, asked or not (gRFC A6 has it so for gRPC); Envoy says it of all attempts, or of none.',
    adjust: (envoy, ours) => {
      if (envoy.arrived.some(({ headers }) => headers.some(isAttemptCount)) || envoy.arrived.length < 2) return envoy;
      const said = ours.arrived.map(({ headers }) => headers.filter(isAttemptCount));
      return { ...envoy, arrived: envoy.arrived.map((it, i) => withFields(it, said[i] ?? [])) };
    },
  },
  {
    reason:
      'With auto_host_rewrite, to a later attempt of Envoy the endpoint of the one before is the original host; to ours it is the original host.',
    adjust: (envoy, ours) => {
      if (envoy.arrived.length < 2 || !envoy.arrived.some(hasEndpointHost)) return envoy;
      const theirs = envoy.arrived.map((arrival, i) => {
        if (!hasEndpointHost(arrival)) return arrival;
        const known = ours.arrived[i]?.headers.filter(isAboutHost) ?? [];
        return withFields({ ...arrival, headers: arrival.headers.filter((field) => !isAboutHost(field)) }, known);
      });
      return { ...envoy, arrived: theirs };
    },
  },
];

/*
 * Differences that would go through whole replies are not accepted but kept out of what is generated:
 * - A route without a retry policy: ours has a default one, Envoy none.
 * - Retries where an endpoint is chosen by hash: ours go to another endpoint unless told otherwise, Envoy's hash leads them back.
 * - Requests that may be repeated (RFC 9110 section 9.2.2) on a connection that ends without a reply: ours sends them again on a new one, as RFC 9112
 *   section 9.3.1 has it, where the server may have closed it for want of requests.
 * - cluster_header: a route with it is ignored (gRFC A28).
 * - prefix_rewrite that ends in "/" for a path_separated_prefix: ours doubles no slash (Gateway API ReplacePrefixMatch), Envoy does.
 * - %REQ(:path)% in replies: for a redirect Envoy rewrites the path of the request, and they see that one.
 * - %REQ(:authority)% beside a host rewrite of a weighted cluster: to Envoy it is made before the headers of the levels around it.
 * - x-random that is no number, and none: chance decides.
 */

/** Envoy's outcome with all that is accepted taken over from ours. */
export const accepted = (envoy: Outcome, ours: Outcome): Outcome =>
  ACCEPTED.reduce((outcome, { adjust }) => adjust(outcome, ours), envoy);

const nothingArrived = ({ arrived }: Outcome): boolean => arrived.length === 0;
const isAttemptCount = (field: string): boolean => /^x-envoy-attempt-count: [2-9]$/.test(field);

const hasEndpointHost = ({ headers }: Outcome['arrived'][number]): boolean =>
  headers.some((field) => /^host: .*\.hosts\.example$/.test(field));
const isAboutHost = (field: string): boolean => /^x-(?:envoy-original|forwarded)-host:/.test(field);

const withFields = (arrival: Outcome['arrived'][number], fields: readonly string[]): Outcome['arrived'][number] => ({
  ...arrival,
  headers: [...arrival.headers, ...fields].sort(),
});
