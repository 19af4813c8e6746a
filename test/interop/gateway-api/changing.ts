import {
  bare,
  type Case,
  changeReply,
  changeRequest,
  cors,
  filters,
  mirror,
  prefix,
  redirect,
  replacePath,
  replacePrefix,
  rewrite,
  rule,
} from './case.js';

const CHANGES = changeRequest({
  set: [{ name: 'X-Set', value: 'set' }],
  add: [
    { name: 'X-Add', value: 'added' },
    { name: 'X-Append', value: 'last' },
  ],
  remove: ['X-Remove'],
});
const SENT = { 'x-remove': 'gone', 'x-append': 'first', 'x-set': 'before', 'x-kept': 'kept' };
const CHANGED = {
  sees: { 'x-set': 'set', 'x-add': 'added', 'x-append': 'first,last', 'x-kept': 'kept' },
  absent: ['x-remove'],
};
const found = (location: string, status = 302) => ({ status, reply: { location } });

/** What a rule does to requests and replies, as HTTPRoute's filters say and the conformance suite of Gateway API expects. */
export const CHANGING: readonly Case[] = [
  {
    about: 'a path is rewritten by prefix or as a whole, and its query stays',
    routes: [
      [
        rule('v1', [prefix('/old/one')], filters(rewrite(replacePrefix('/one')))),
        rule('v1', [prefix('/strip')], filters(rewrite(replacePrefix('/')))),
        rule('v1', [prefix('/slash/')], filters(rewrite(replacePrefix('/new/')))),
        rule('v1', [prefix('/whole')], filters(rewrite(replacePath('/all')))),
        rule('v1', [prefix('/both')], filters(rewrite(replacePrefix('/changed')), CHANGES)),
      ],
    ],
    asks: [
      ['/old/one/two', { backend: 'v1', path: '/one/two' }],
      ['/old/one', { backend: 'v1', path: '/one' }],
      ['/old/one?q=/old/one', { backend: 'v1', path: '/one?q=/old/one' }],
      ['/strip/three', { backend: 'v1', path: '/three' }],
      ['/strip', { backend: 'v1', path: '/' }],
      ['/strip/', { backend: 'v1', path: '/' }],
      ['/slash/x', { backend: 'v1', path: '/new/x' }],
      ['/slash', { backend: 'v1', path: '/new' }],
      ['/whole/one?q=1', { backend: 'v1', path: '/all?q=1' }],
      ['/both/x', { backend: 'v1', path: '/changed/x', ...CHANGED }, SENT],
    ],
  },
  {
    about: 'a host is rewritten, with headers changed beside it',
    routes: [
      [
        rule('v1', [prefix('/one')], filters(rewrite({ hostname: 'one.example.org' }))),
        rule('v2', undefined, filters(rewrite({ hostname: 'rest.example.org' }))),
        rule('v2', [prefix('/both')], filters(rewrite({ hostname: 'both.example.org' }), CHANGES)),
      ],
    ],
    asks: [
      ['/one', { backend: 'v1', host: 'one.example.org', path: '/one' }],
      ['/two', { backend: 'v2', host: 'rest.example.org' }],
      ['/both', { backend: 'v2', host: 'both.example.org', ...CHANGED }, SENT],
    ],
  },
  {
    about: 'headers of requests are set, added and removed, by names in any case',
    routes: [[rule('v1', undefined, filters(CHANGES))]],
    asks: [
      ['/', { backend: 'v1', ...CHANGED }, SENT],
      ['/', { backend: 'v1', sees: { 'x-set': 'set', 'x-add': 'added', 'x-append': 'last' } }],
      ['/', { backend: 'v1', ...CHANGED }, { 'X-REMOVE': 'gone', 'X-APPEND': 'first', 'X-Kept': 'kept' }],
    ],
  },
  {
    about: 'headers of replies are set, added and removed',
    routes: [
      [
        rule(
          'v1',
          undefined,
          filters(
            changeReply({
              set: [{ name: 'X-Reply', value: '100%' }],
              add: [
                { name: 'Vary', value: 'origin' },
                { name: 'X-New', value: 'new' },
              ],
              remove: ['X-OTHER'],
            }),
          ),
        ),
      ],
    ],
    asks: [
      [
        '/',
        {
          backend: 'v1',
          reply: { 'x-reply': '100%', vary: 'accept,origin', 'x-new': 'new' },
          replyAbsent: ['x-other'],
        },
      ],
    ],
  },
  {
    about: 'redirects change host, path, scheme, port and status, each alone or together',
    routes: [
      [
        bare([prefix('/host')], filters(redirect({ hostname: 'example.org' }))),
        bare([prefix('/status')], filters(redirect({ hostname: 'example.org', statusCode: 301 }))),
        bare([prefix('/prefix')], filters(redirect(replacePrefix('/new')))),
        bare([prefix('/whole')], filters(redirect(replacePath('/all')))),
        bare(
          [prefix('/much')],
          filters(redirect({ hostname: 'example.org', ...replacePrefix('/new'), statusCode: 301 })),
        ),
        bare([prefix('/s303')], filters(redirect({ scheme: 'https', statusCode: 303 }))),
        bare([prefix('/s307')], filters(redirect({ scheme: 'https', statusCode: 307 }))),
        bare([prefix('/s308')], filters(redirect({ scheme: 'https', statusCode: 308 }))),
        bare([prefix('/p80')], filters(redirect({ hostname: 'example.org', port: 80 }))),
        bare([prefix('/p8080')], filters(redirect({ hostname: 'example.org', port: 8080 }))),
        bare([prefix('/https')], filters(redirect({ hostname: 'example.org', scheme: 'https' }))),
        bare([prefix('/https443')], filters(redirect({ hostname: 'example.org', scheme: 'https', port: 443 }))),
        bare([prefix('/https8443')], filters(redirect({ hostname: 'example.org', scheme: 'https', port: 8443 }))),
        bare([prefix('/http443')], filters(redirect({ hostname: 'example.org', scheme: 'http', port: 443 }))),
      ],
    ],
    asks: [
      ['/host/x?q=1', found('http://example.org/host/x?q=1')],
      ['/status', found('http://example.org/status', 301)],
      ['/prefix/lemon?q', found('http://HOST/new/lemon?q')],
      ['/prefix', found('http://HOST/new')],
      ['/whole/path', found('http://HOST/all')],
      ['/much', found('http://example.org/new', 301)],
      ['/s303', found('https://HOST/s303', 303)],
      ['/s307', found('https://HOST/s307', 307)],
      ['/s308', found('https://HOST/s308', 308)],
      ['/p80', found('http://example.org/p80')],
      ['/p8080', found('http://example.org:8080/p8080')],
      ['/https', found('https://example.org/https')],
      ['/https443', found('https://example.org/https443')],
      ['/https8443', found('https://example.org:8443/https8443')],
      ['/http443', found('http://example.org:443/http443')],
    ],
  },
  {
    about: 'requests are mirrored to one backend and to several, changed like the original',
    routes: [
      [
        rule('v1', [prefix('/one')], filters(mirror('v2'))),
        rule('v1', [prefix('/two')], filters(mirror('v2'), mirror('v3'), CHANGES)),
        rule('v1', [prefix('/none')], filters(mirror('v2', { percent: 0 }))),
        rule('v1', [prefix('/all')], filters(mirror('v2', { fraction: { numerator: 5, denominator: 5 } }))),
      ],
    ],
    asks: [
      ['/one', { backend: 'v1', mirrored: ['v2'] }],
      ['/two', { backend: 'v1', mirrored: ['v2', 'v3'], ...CHANGED }, SENT],
      ['/none', { backend: 'v1', mirrored: [] }],
      ['/all', { backend: 'v1', mirrored: ['v2'] }],
    ],
  },
  {
    about: 'a request that takes too long has 504, by the limit of the call and by that of an attempt',
    routes: [
      [
        rule('v1', [prefix('/call')], { timeouts: { request: '100ms' }, retry: { attempts: 0 } }),
        rule('v1', [prefix('/attempt')], { timeouts: { backendRequest: '100ms' }, retry: { attempts: 0 } }),
        rule('v1', [prefix('/off')], { timeouts: { request: '0s' } }),
      ],
    ],
    asks: [
      ['/call', 'v1'],
      ['/call', { backend: 'v1', status: 504 }, { 'x-fail': '1;hang' }],
      ['/attempt', { backend: 'v1', status: 504 }, { 'x-fail': '1;hang' }],
      ['/off', 'v1'],
    ],
  },
  {
    about: 'statuses that are named are tried again as often as is said',
    routes: [[rule('v1', undefined, { retry: { codes: [503, 429], attempts: 2, backoff: '1ms' } })]],
    asks: [
      ['/', { backend: 'v1', attempts: 3 }, { 'x-fail': '2;503' }],
      ['POST /', { backend: 'v1', attempts: 2 }, { 'x-fail': '1;429' }],
      ['/', { backend: 'v1', status: 503, attempts: 3 }, { 'x-fail': '9;503' }],
      ['/', { backend: 'v1', status: 500 }, { 'x-fail': '1;500' }],
    ],
  },
  {
    about: 'pages of origins that are allowed may call, others may not',
    routes: [
      [
        rule(
          'v1',
          [prefix('/some')],
          filters(
            cors({
              allowOrigins: ['https://www.shop.test', 'https://*.bar.test'],
              allowMethods: ['GET', 'OPTIONS'],
              allowHeaders: ['x-one', 'x-two'],
              exposeHeaders: ['x-three', 'x-four'],
              allowCredentials: true,
              maxAge: 3_600,
            }),
          ),
        ),
        rule('v1', [prefix('/any')], filters(cors({ allowOrigins: ['*'], allowMethods: ['PUT'] }))),
        ...[true, false].map((allowCredentials) =>
          rule(
            'v1',
            [prefix(`/wild-${allowCredentials}`)],
            filters(cors({ allowOrigins: ['*'], allowMethods: ['*'], allowHeaders: ['*'], allowCredentials })),
          ),
        ),
      ],
    ],
    asks: [
      ...['https://www.shop.test', 'https://www.bar.test', 'https://deep.www.bar.test'].map(
        (origin) =>
          [
            'OPTIONS /some',
            {
              reply: {
                'access-control-allow-origin': origin,
                'access-control-allow-methods': 'GET, OPTIONS',
                'access-control-allow-headers': 'x-one, x-two',
                'access-control-expose-headers': 'x-three, x-four',
                'access-control-max-age': '3600',
                'access-control-allow-credentials': 'true',
              },
            },
            { origin, 'access-control-request-method': 'GET', 'access-control-request-headers': 'x-one' },
          ] as const,
      ),
      [
        'OPTIONS /some',
        { replyAbsent: ['access-control-allow-origin'] },
        { origin: 'https://foobar.test', 'access-control-request-method': 'GET' },
      ],
      [
        '/some',
        { backend: 'v1', reply: { 'access-control-allow-origin': 'https://www.shop.test' } },
        { origin: 'https://www.shop.test' },
      ],
      ['/some', { backend: 'v1', replyAbsent: ['access-control-allow-origin'] }, { origin: 'https://bar.test' }],
      ...['https://foobar.test', 'https://foobar.test:12345'].map(
        (origin) =>
          [
            'OPTIONS /any',
            {
              reply: { 'access-control-allow-origin': origin, 'access-control-allow-methods': 'PUT' },
              replyAbsent: ['access-control-allow-credentials'],
            },
            { origin, 'access-control-request-method': 'PUT' },
          ] as const,
      ),
      ...[true, false].map(
        (credentials) =>
          [
            `OPTIONS /wild-${credentials}`,
            {
              reply: {
                'access-control-allow-origin': 'https://other.foo.test',
                'access-control-allow-methods': 'PUT',
                'access-control-allow-headers': 'x-header-1, x-header-2',
                ...(credentials && { 'access-control-allow-credentials': 'true' }),
              },
              replyAbsent: credentials ? [] : ['access-control-allow-credentials'],
            },
            {
              origin: 'https://other.foo.test',
              'access-control-request-method': 'PUT',
              'access-control-request-headers': 'x-header-1, x-header-2',
            },
          ] as const,
      ),
      [
        'PUT /any',
        { backend: 'v1', replyAbsent: ['access-control-allow-credentials'] },
        { origin: 'https://anybody.test' },
      ],
    ],
  },
];
