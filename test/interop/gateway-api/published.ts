/**
 * Every test of Gateway API's conformance suite (kubernetes-sigs/gateway-api, conformance/tests) that is about what becomes of a request: the test here
 * that runs its expectations, or why there is none.
 */
type Standing = { readonly run: string } | { readonly not: string };

const run = (title: string): Standing => ({ run: title });
const GATEWAY: Standing = { not: 'about listeners of a Gateway, which this version has not' };
const KUBERNETES: Standing = { not: 'about the status of resources in Kubernetes, which nobody here writes' };
const UNKNOWN_KIND: Standing = {
  not: 'a backend of another kind than Service is a mistake in the document, which is refused',
};

const HEADERS = run('headers of requests are set, added and removed, by names in any case');
const REDIRECTS = run('redirects change host, path, scheme, port and status, each alone or together');
const REWRITES = run('a path is rewritten by prefix or as a whole, and its query stays');
const MIRRORS = run('requests are mirrored to one backend and to several, changed like the original');
const TIMEOUTS = run('a request that takes too long has 504, by the limit of the call and by that of an attempt');
const ANY_MATCH = run('any of several matches of a rule is enough, and prefixes cover whole segments');
const QUERIES = run('query parameters match whole values, names in their case, and the first of several counts');
const NAMED = run('rules with names serve like those without');
const BACKEND_FILTERS = run('a backend’s own filters change headers, rewrite, redirect and mirror');
const SHARES = run('backends share the requests by weight, one of weight 0 gets none');

export const PUBLISHED: Readonly<Record<string, Standing>> = {
  'grpcroute-exact-method-matching': run('a method is found by its exact name'),
  'grpcroute-header-matching': run('all headers of a match count, and any of several matches'),
  'grpcroute-listener-hostname-matching': GATEWAY,
  'grpcroute-named-rule': NAMED,
  'grpcroute-request-header-modifier': run('metadata is set, added and removed'),
  'grpcroute-weight': run('backends share the calls by weight'),
  'httproute-303-redirect': REDIRECTS,
  'httproute-307-redirect': REDIRECTS,
  'httproute-308-redirect': REDIRECTS,
  'httproute-backend-protocol-h2c': {
    not: 'HTTP/2 to backends by appProtocol is in test/client/transport-lifetime/mesh.test.ts',
  },
  'httproute-backend-protocol-websocket': { not: 'upgrades are refused (501)' },
  'httproute-backend-request-redirect': BACKEND_FILTERS,
  'httproute-backend-url-rewrite': BACKEND_FILTERS,
  'httproute-cors': run('pages of origins that are allowed may call, others may not'),
  'httproute-cross-namespace': GATEWAY,
  'httproute-disallowed-kind': KUBERNETES,
  'httproute-exact-path-matching': run(
    'exact paths go before prefixes, longer prefixes before shorter ones, whatever the order of the rules',
  ),
  'httproute-header-matching': run(
    'all headers of a match count, names in any case, values in theirs, and more of them go first',
  ),
  'httproute-hostname-intersection': GATEWAY,
  'httproute-https-listener': GATEWAY,
  'httproute-https-listener-detect-misdirected-requests': GATEWAY,
  'httproute-invalid-backendref-unknown-kind': UNKNOWN_KIND,
  'httproute-invalid-cross-namespace-backend-ref': run('without a grant of its namespace a backend is not called: 500'),
  'httproute-invalid-cross-namespace-parent-ref': KUBERNETES,
  'httproute-invalid-nonexistent-backendref': run(
    'requests for a backend that is not there have 500, others are served',
  ),
  'httproute-invalid-parentref-not-matching-listener-port': KUBERNETES,
  'httproute-invalid-parentref-not-matching-section-name': KUBERNETES,
  'httproute-invalid-parentref-section-name-not-matching-port': KUBERNETES,
  'httproute-invalid-reference-grant': run('grants that are each wrong in one part permit nothing: 500'),
  'httproute-listener-hostname-matching': GATEWAY,
  'httproute-listener-port-matching': GATEWAY,
  'httproute-matching': ANY_MATCH,
  'httproute-matching-across-routes': run(
    'rules of several routes on one Service take part in one order of precedence',
  ),
  'httproute-method-matching': run('a method goes after the path and before headers'),
  'httproute-multiple-gateways': GATEWAY,
  'httproute-named-rule': NAMED,
  'httproute-observed-generation-bump': KUBERNETES,
  'httproute-omitted-backendrefs': run('a rule without backends has 500'),
  'httproute-partially-invalid-via-invalid-reference-grant': run(
    'a grant for one Service permits no other: its rules serve, those of the other have 500',
  ),
  'httproute-path-match-order': run('the longest path that matches serves, whichever stands first'),
  'httproute-query-param-matching': QUERIES,
  'httproute-redirect-host-and-status': REDIRECTS,
  'httproute-redirect-path': REDIRECTS,
  'httproute-redirect-port': REDIRECTS,
  'httproute-redirect-port-and-scheme': REDIRECTS,
  'httproute-redirect-scheme': REDIRECTS,
  'httproute-reference-grant': run('a grant permits a backend of its namespace, until it is taken back'),
  'httproute-request-header-modifier': HEADERS,
  'httproute-request-header-modifier-backend-weights': run('backends share by weight, each with its own headers'),
  'httproute-request-mirror': MIRRORS,
  'httproute-request-multiple-mirrors': MIRRORS,
  'httproute-request-percentage-mirror': run('a share of the requests is mirrored: %s'),
  'httproute-response-header-modifier': run('headers of replies are set, added and removed'),
  'httproute-retry': run('statuses are tried again as often as is said, each by its name alone'),
  'httproute-retry-connection-error': run(
    'connections that break are tried again where a rule says anything of retries',
  ),
  'httproute-retry-with-timeouts': run('attempts that take too long are tried again as long as the request may take'),
  'httproute-rewrite-host': run('a host is rewritten, with headers changed beside it'),
  'httproute-rewrite-path': REWRITES,
  'httproute-service-types': run('endpoints are those of the slices, whatever the kind of Service: %s'),
  'httproute-simple-same-namespace': run('a rule without matches takes every path, after all that ask for more'),
  'httproute-timeout-backend-request': TIMEOUTS,
  'httproute-timeout-request': TIMEOUTS,
  'httproute-weight': SHARES,
  'mesh/grpcroute-request-header-modifier': run('metadata is set, added and removed'),
  'mesh/grpcroute-weight': run('backends share the calls by weight'),
  'mesh/httproute-303-redirect': REDIRECTS,
  'mesh/httproute-307-redirect': REDIRECTS,
  'mesh/httproute-308-redirect': REDIRECTS,
  'mesh/httproute-matching': ANY_MATCH,
  'mesh/httproute-named-rule': NAMED,
  'mesh/httproute-query-param-matching': QUERIES,
  'mesh/httproute-redirect-host-and-status': REDIRECTS,
  'mesh/httproute-redirect-path': REDIRECTS,
  'mesh/httproute-redirect-port': REDIRECTS,
  'mesh/httproute-redirect-scheme': REDIRECTS,
  'mesh/httproute-request-header-modifier': HEADERS,
  'mesh/httproute-rewrite-path': REWRITES,
  'mesh/httproute-simple-same-namespace': run('a Service without routes is called as it is'),
  'mesh/httproute-weight': run('backends share by weight, each with its own headers'),
  'mesh/mesh-basic': run('a Service without routes is called as it is'),
  'mesh/mesh-consumer-route': {
    not: 'a route for the callers of another namespace is refused: nothing says in which namespace this process is',
  },
  'mesh/mesh-frontend': run('rules are of the Service that is called, not of those behind it, nor of their addresses'),
  'mesh/mesh-frontend-hostname': {
    not: 'a Service is known by the name in the request, not by an address of its own: there is none to a client in the process',
  },
  'mesh/mesh-ports': run('a route is for the port that it names, or for all'),
  'mesh/mesh-split': run('a Service is split between two'),
};
