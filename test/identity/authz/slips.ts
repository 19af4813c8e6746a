/** A request that means to reach what a policy denies, by being something else to who judges than to who serves. */
export interface Slip {
  readonly why: string;
  /** Request target as it goes over the wire, one character a byte. */
  readonly target: string;
  readonly method?: string;
  /** In place of `reviews`. */
  readonly host?: string;
  readonly headers?: readonly (readonly [name: string, value: string])[];
}

/** What the corpus is against: under `/admin`, of the host `admin.example`, and what asks to be an admin. Everything else is allowed. */
export const SLIPS_POLICY = `---
apiVersion: inmesh.dev/v1alpha1
kind: AuthorizationPolicy
metadata: { name: slips }
spec:
  targetRefs: [{ kind: Service, name: reviews }]
  action: DENY
  rules:
    - { to: [{ paths: [/admin, "/admin/*", "/pkg.Admin/*"] }] }
    - { to: [{ hosts: [admin.example] }] }
    - { to: [{ methods: [DELETE] }] }
    - { when: [{ key: "request.headers[x-role]", values: [admin] }] }
    - { from: [{ notRemoteIpBlocks: [10.0.0.0/8] }], to: [{ paths: [/internal, "/internal/*"] }] }
`;

const of = (why: string, ...targets: string[]): Slip[] => targets.map((target) => ({ why, target }));

const ENCODED_LETTERS = ['%61dmin', 'a%64min', 'ad%6Din', 'adm%69n', 'admi%6e', '%61%64%6d%69%6e', '%61dmi%6E'];
const DOTS = ['.', '%2e', '%2E'];
const UPS = ['..', '%2e%2e', '%2E%2E', '.%2e', '%2e.', '%2E.'];
const SLASHES = ['%2f', '%2F', '%5c', '%5C', '\\'];

const PATHS: readonly Slip[] = [
  ...of('as it is', '/admin', '/admin/', '/admin/users', '/admin?x=1', '/admin/users?x=/public'),
  ...ENCODED_LETTERS.flatMap((admin) => of('letters percent-encoded', `/${admin}`, `/${admin}/users`)),
  ...ENCODED_LETTERS.slice(0, 4).flatMap((admin) => of('encoded twice', `/${admin.replaceAll('%', '%25')}/users`)),
  ...of('encoded three times', '/%252561dmin', '/%25252561dmin/users'),
  ...DOTS.flatMap((dot) =>
    of('a dot segment', `/${dot}/admin`, `/public/${dot}/../admin`, `/admin/${dot}`, `/admin/${dot}/users`),
  ),
  ...UPS.flatMap((up) =>
    of('a segment up', `/public/${up}/admin`, `/a/b/${up}/${up}/admin/users`, `/admin/x/${up}/users`),
  ),
  ...UPS.slice(0, 3).flatMap((up) => of('above the root', `/${up}/admin`, `/${up}/${up}/${up}/admin/users`)),
  ...of('dots encoded twice', '/public/%252e%252e/admin', '/public/%25%32%65%25%32%65/admin', '/public/..%252fadmin'),
  ...SLASHES.flatMap((slash) =>
    of(
      'another slash',
      `/public${slash}..${slash}admin`,
      `${slash}admin`,
      `/admin${slash}users`,
      `/x${slash}..${slash}..${slash}admin`,
    ),
  ),
  ...of(
    'slashes that follow each other',
    '//admin',
    '///admin',
    '//admin//users',
    '/.//admin',
    '/admin//',
    '/public//../admin',
  ),
  ...of(
    'path parameters',
    '/admin;x=1',
    '/admin;/users',
    '/;/admin',
    '/public;/../admin',
    '/public/..;/admin',
    '/..;/admin',
    '/admin%3bx=1',
    '/admin%3Bx/users',
    '/public/..;a=b/admin',
    '/.;/admin',
  ),
  ...of('upper and lower case', '/ADMIN', '/Admin/users', '/aDMIN', '/ADMIN/', '/Admin?x=1', '/%41DMIN'),
  ...of('NUL', '/admin%00', '/admin%00.html', '/%00/admin', '/admin/%00', '/public%00/../admin', '/ad%00min'),
  ...of(
    'control characters',
    '/admin%0a',
    '/admin%0d%0a',
    '/admin%09',
    '/%0aadmin',
    '/admin%7f',
    '/admin%0d%0aX-Role:%20x',
  ),
  ...of(
    'overlong UTF-8',
    '/public%c0%afadmin',
    '/%c0%ae%c0%ae/admin',
    '/public/%c0%ae%c0%ae/admin',
    '/%e0%80%afadmin',
    '/%c1%a1dmin',
    '/%f0%80%80%afadmin',
    '/admin%c0%80',
    '/public/%e0%80%ae%e0%80%ae/admin',
    '/%c0%afadmin',
    '/%fc%80%80%80%80%afadmin',
  ),
  ...of(
    'characters that look the same when normalised',
    '/public%ef%bc%8fadmin',
    '/%ef%bc%8e%ef%bc%8e/admin',
    '/%e2%80%a5/admin',
    '/public/%e2%80%a5/admin',
    '/admin%ef%bc%9bx',
    '/%ef%bc%8fadmin',
  ),
  ...of('bytes beyond ASCII', '/admin\xff', '/\xc0\xafadmin', '/admin\xa0', '/admin\x85'),
  ...of('encodings that are none', '/admin%', '/admin%2', '/admin%zz', '/%u0061dmin', '/admin%u002fusers', '/admin%-1'),
  ...of(
    'a fragment',
    '/admin#x',
    '/admin#?x',
    '/public#/../admin',
    '/admin/#',
    '/#/../admin',
    '/admin%23/../public/../admin',
  ),
  ...of(
    'absolute form',
    'http://reviews/admin',
    'http://reviews/admin/users',
    'http://reviews/public/../admin',
    'http://reviews//admin',
    'HTTP://REVIEWS/admin',
    'http://reviews/%61dmin',
    'https://reviews/admin',
    'http://user@reviews/admin',
    'http://user:pass@reviews/admin',
  ),
  ...of(
    'a query that looks like a path',
    '/admin?/../public',
    '/admin?',
    '/admin?%2f..%2fpublic',
    '/public/../admin?x',
  ),
];

const withHeaders = (why: string, target: string, ...headers: [string, string][]): Slip => ({ why, target, headers });

const HEADERS: readonly Slip[] = [
  ...['X-Forwarded-Host', 'X-Original-Host', 'Forwarded'].map((name) =>
    withHeaders('another host in a header', '/admin', [name, name === 'Forwarded' ? 'host=public' : 'public']),
  ),
  ...['X-Original-URL', 'X-Rewrite-URL', 'X-Forwarded-Path', 'X-Forwarded-Prefix', 'X-Envoy-Original-Path'].map(
    (name) => withHeaders('another path in a header', '/admin/users', [name, '/public']),
  ),
  ...[
    'X-Forwarded-For',
    'X-Real-IP',
    'X-Client-IP',
    'True-Client-IP',
    'CF-Connecting-IP',
    'X-Envoy-External-Address',
    'X-Cluster-Client-IP',
    'Fastly-Client-IP',
  ].map((name) => withHeaders('another address in a header', '/internal', [name, '10.0.0.1'])),
  withHeaders('another address in a header', '/internal/x', ['Forwarded', 'for=10.0.0.1']),
  withHeaders('several addresses in a header', '/internal', ['X-Forwarded-For', '10.0.0.1, 10.0.0.2']),
  withHeaders(
    'several addresses in headers',
    '/internal',
    ['X-Forwarded-For', '10.0.0.1'],
    ['X-Forwarded-For', '10.0.0.2'],
  ),
  withHeaders('a certificate in a header', '/admin', [
    'X-Forwarded-Client-Cert',
    'URI=spiffe://cluster.local/ns/default/sa/admin',
  ]),
  withHeaders('what is asked for', '/', ['X-Role', 'admin']),
  withHeaders('in capitals', '/', ['X-ROLE', 'admin']),
  withHeaders('twice, first', '/', ['X-Role', 'admin'], ['X-Role', 'guest']),
  withHeaders('twice, last', '/', ['X-Role', 'guest'], ['X-Role', 'admin']),
  withHeaders('three times', '/', ['X-Role', 'a'], ['x-role', 'admin'], ['X-Role', 'b']),
  withHeaders('with a header to be left out', '/', ['X-Role', 'admin'], ['Connection', 'x-role']),
  { why: 'a method', target: '/', method: 'DELETE' },
  { why: 'the host', target: '/', host: 'admin.example' },
  { why: 'the host in capitals', target: '/', host: 'ADMIN.example' },
  { why: 'the host with a port', target: '/', host: 'admin.example:80' },
  { why: 'the host with another port', target: '/', host: 'admin.example:8080' },
  { why: 'the host with the dot of the root', target: '/', host: 'admin.example.' },
  { why: 'the dot and a port', target: '/', host: 'Admin.Example.:80' },
  { why: 'user information', target: '/', host: 'public@admin.example' },
  { why: 'user information that is the host', target: '/', host: 'admin.example@public' },
  { why: 'a host that is encoded', target: '/', host: 'admin%2eexample' },
  { why: 'a path in the host', target: '/', host: 'admin.example/public' },
  { why: 'a fragment in the host', target: '/', host: 'admin.example#public' },
  { why: 'several hosts in one', target: '/', host: 'public,admin.example' },
  { why: 'the host of an absolute target', target: 'http://admin.example/', host: 'public' },
  { why: 'another host than that of the target', target: 'http://public/', host: 'admin.example' },
  { why: 'the target in capitals', target: 'http://ADMIN.EXAMPLE/', host: 'public' },
];

/** HTTP. Each of them once. */
export const SLIPS: readonly Slip[] = [...PATHS, ...HEADERS].filter(
  (slip, index, all) => all.findIndex((other) => JSON.stringify(other) === JSON.stringify(slip)) === index,
);

/** gRPC: the path is the method's, exactly, and metadata says nothing of it. */
export const GRPC_SLIPS: readonly Slip[] = [
  ...of('as it is', '/pkg.Admin/Get'),
  ...of(
    'another spelling',
    '/pkg.Admin/get',
    '/PKG.ADMIN/Get',
    '/pkg.%41dmin/Get',
    '//pkg.Admin/Get',
    '/pkg.Admin//Get',
    '/x/../pkg.Admin/Get',
    '/pkg.Admin/Get/',
    '/pkg.Admin/Get?x',
    '/pkg.Admin/Get#x',
    '/pkg.Admin%2fGet',
    '/pkg.Admin/Get%00',
    '/pkg.Admin;x/Get',
  ),
  withHeaders('another path in metadata', '/pkg.Admin/Get', ['x-original-url', '/pkg.Public/Get']),
  withHeaders('metadata', '/pkg.Public/Get', ['x-role', 'admin']),
  withHeaders('metadata twice', '/pkg.Public/Get', ['x-role', 'guest'], ['x-role', 'admin']),
  withHeaders('another host in metadata', '/pkg.Public/Get', ['host', 'admin.example']),
  { why: 'authority', target: '/pkg.Public/Get', host: 'admin.example' },
  { why: 'authority with a port', target: '/pkg.Public/Get', host: 'ADMIN.example:80' },
];
