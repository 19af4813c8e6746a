import {
  type Case,
  changeReply,
  changeRequest,
  exact,
  filters,
  mirror,
  prefix,
  redirect,
  replacePath,
  replacePrefix,
  rewrite,
  rule,
} from './case.js';

const ref = (name: string, more: object = {}): object => ({ name, port: 80, ...more });
const marked = (name: string): object =>
  ref(
    name,
    filters(
      changeRequest({ set: [{ name: 'X-For', value: name }] }),
      changeReply({ set: [{ name: 'X-From', value: name }] }),
    ),
  );
const found = (location: string) => ({ status: 302, reply: { location } });

/** What backends are sent, and what becomes of a rule whose backends are not there; as the conformance suite of Gateway API expects. */
export const SENDING: readonly Case[] = [
  {
    about: 'a rule without backends has 500',
    routes: [
      [{ matches: [exact('/omitted')] }, { matches: [exact('/empty')], backendRefs: [] }, rule('v1', [prefix('/')])],
    ],
    asks: [
      ['/forward', 'v1'],
      ['/omitted', 500],
      ['/empty', 500],
    ],
  },
  {
    about: 'rules with names serve like those without',
    routes: [[rule('v1', [prefix('/named')], { name: 'named-rule' }), rule('v2', [prefix('/unnamed')])]],
    asks: [
      ['/named', 'v1'],
      ['/unnamed', 'v2'],
    ],
  },
  {
    about: 'a backend’s own filters change headers, rewrite, redirect and mirror',
    routes: [
      [
        { matches: [prefix('/headers')], backendRefs: [marked('v1')] },
        { matches: [prefix('/full')], backendRefs: [ref('v1', filters(rewrite(replacePath('/rewritten-full'))))] },
        {
          matches: [prefix('/prefix')],
          backendRefs: [ref('v1', filters(rewrite(replacePrefix('/rewritten-prefix'))))],
        },
        { matches: [prefix('/away')], backendRefs: [ref('v1', filters(redirect(replacePath('/redirected-full'))))] },
        { matches: [prefix('/off')], backendRefs: [ref('v1', filters(redirect(replacePrefix('/redirected-prefix'))))] },
        { matches: [prefix('/twice')], backendRefs: [ref('v1', filters(mirror('v2')))] },
      ],
    ],
    asks: [
      ['/headers', { backend: 'v1', sees: { 'x-for': 'v1' }, reply: { 'x-from': 'v1' } }],
      ['/full/original', { backend: 'v1', path: '/rewritten-full' }],
      ['/prefix/original', { backend: 'v1', path: '/rewritten-prefix/original' }],
      ['/away/original', found('http://HOST/redirected-full')],
      ['/off/original', found('http://HOST/redirected-prefix/original')],
      ['/twice', { backend: 'v1', mirrored: ['v2'] }],
    ],
  },
  {
    about: 'the longest path that matches serves, whichever stands first',
    routes: [
      [
        rule('v1', [exact('/match')]),
        rule('v2', [exact('/match/exact')]),
        rule('v3', [exact('/match/exact/one')]),
        rule('v3', [prefix('/match/')]),
        rule('v1', [prefix('/match/prefix/')]),
        rule('v2', [prefix('/match/prefix/one')]),
      ],
    ],
    asks: [
      ['/match/exact/one', 'v3'],
      ['/match/exact', 'v2'],
      ['/match', 'v1'],
      ['/match/prefix/one/any', 'v2'],
      ['/match/prefix/any', 'v1'],
      ['/match/any', 'v3'],
    ],
  },
  {
    about: 'statuses are tried again as often as is said, each by its name alone',
    routes: [
      [
        rule('v3', [prefix('/500')], { retry: { codes: [500], attempts: 3, backoff: '1ms' } }),
        rule('v3', [prefix('/all')], { retry: { codes: [500, 502, 503, 504], attempts: 2, backoff: '1ms' } }),
      ],
    ],
    asks: [
      ['/500', { backend: 'v3', attempts: 3 }, { 'x-fail': '2;500' }],
      ['/500', { backend: 'v3', attempts: 4, status: 500 }, { 'x-fail': '4;500' }],
      ['/500', { backend: 'v3', attempts: 1, status: 503 }, { 'x-fail': '2;503' }],
      ...[500, 502, 503, 504].flatMap((status) => [
        ['/all', { backend: 'v3', attempts: 2 }, { 'x-fail': `1;${status}` }] as const,
        ['/all', { backend: 'v3', attempts: 3, status }, { 'x-fail': `3;${status}` }] as const,
      ]),
    ],
  },
  {
    about: 'connections that break are tried again where a rule says anything of retries',
    routes: [[rule('v3', [prefix('/')], { retry: { attempts: 3, backoff: '1ms' } })]],
    asks: [
      // Of a method that is not sent again for its own sake, so that attempts can be counted.
      ['POST /', { backend: 'v3', attempts: 3 }, { 'x-fail': '2;reset' }],
      ['POST /', { backend: 'v3', attempts: 4, status: 503 }, { 'x-fail': '9;reset' }],
    ],
  },
  {
    about: 'attempts that take too long are tried again as long as the request may take',
    routes: [
      [
        rule('v3', [prefix('/attempt')], {
          retry: { attempts: 2, backoff: '1ms' },
          timeouts: { backendRequest: '400ms' },
        }),
        rule('v3', [prefix('/request')], {
          retry: { codes: [500], attempts: 5, backoff: '1ms' },
          timeouts: { backendRequest: '500ms', request: '900ms' },
        }),
      ],
    ],
    asks: [
      ['/attempt', { backend: 'v3', attempts: 3 }, { 'x-fail': '2;hang' }],
      ['/attempt', { backend: 'v3', attempts: 3, status: 504 }, { 'x-fail': '3;hang' }],
      ['/request', { backend: 'v3', attempts: 2 }, { 'x-fail': '1;500' }],
      ['/request', { backend: 'v3', attempts: 2, status: 504 }, { 'x-fail': '4;hang' }],
    ],
  },
];
