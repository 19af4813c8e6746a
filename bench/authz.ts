/*
 * What does one decision cost with 10, 100 and 1,000 policies? Each policy lets one caller of its own do two things under one path prefix; the request is that of one of
 * them, a different one each time, and every third is denied. Beside casbin with the same rules, whose matcher asks every line.
 */
import { newEnforcer, newModelFromString, StringAdapter } from 'casbin';
import { headerFields } from '../src/core/headers.js';
import type { RbacFilter, RbacPolicy } from '../src/core/model/authorization.js';
import { Authorizer } from '../src/identity/authz/authorizer.js';
import type { AuthzRequest } from '../src/identity/authz/request.js';
import { type Comparison, compareCpu, report, SMOKE, type Side } from './lib/compare.js';

const DECISIONS = 100;
const SIZES = SMOKE ? [10] : [10, 100, 1_000];

const principalOf = (i: number): string => `spiffe://cluster.local/ns/default/sa/caller-${i}`;
const prefixOf = (i: number): string => `/api/service-${i}/`;

const policyOf = (i: number): RbacPolicy => ({
  name: `policy-${i}`,
  permissions: [
    {
      kind: 'and',
      of: [
        { kind: 'path', match: { kind: 'prefix', value: prefixOf(i), ignoreCase: false } },
        {
          kind: 'or',
          of: ['GET', 'POST'].map((value) => ({
            kind: 'header' as const,
            header: {
              name: ':method',
              match: { kind: 'exact' as const, value, ignoreCase: false },
              invert: false,
              treatMissingAsEmpty: false,
            },
          })),
        },
      ],
    },
  ],
  principals: [{ kind: 'authenticated', name: { kind: 'exact', value: principalOf(i), ignoreCase: false } }],
});

/** Of the caller of policy `i`; `own`: at what is its own. */
const requestOf = (i: number, own: boolean): AuthzRequest => ({
  protocol: 'http',
  scheme: 'http',
  method: 'GET',
  host: 'shop',
  path: `${prefixOf(own ? i : i + 1)}items/42`,
  judgedPath: `${prefixOf(own ? i : i + 1)}items/42`,
  headers: headerFields({ accept: '*/*' }),
  secure: true,
  peerIdentity: {
    spiffeId: principalOf(i),
    trustDomain: 'cluster.local',
    uriSans: [principalOf(i)],
    dnsSans: [],
    subject: '',
    serialNumber: '01',
    fingerprint: '',
    notAfter: 0,
  },
  peerAddress: '10.0.0.1',
  clientAddress: '10.0.0.1',
  localAddress: '10.0.0.2',
  localPort: 8080,
  serverName: '',
  claims: undefined,
});

/** As many, however many policies: it is those that are to make the difference. */
const requestsOf = (size: number): AuthzRequest[] =>
  Array.from({ length: DECISIONS }, (_, i) => requestOf((i * 7_919) % size, i % 3 !== 0));

const ours = (size: number): Side => ({
  name: 'inmesh',
  open: async () => {
    const policies = Array.from({ length: size }, (_, i) => policyOf(i));
    const filters: RbacFilter[] = [{ name: 'allow', rules: { action: 'ALLOW', policies } }];
    const authorizer = new Authorizer(filters, { wallTime: () => 0 }, () => {});
    const requests = requestsOf(size);
    return {
      once() {
        for (const request of requests) authorizer.decide(request);
      },
    };
  },
});

const MODEL = `
[request_definition]
r = sub, obj, act
[policy_definition]
p = sub, obj, act
[policy_effect]
e = some(where (p.eft == allow))
[matchers]
m = r.sub == p.sub && keyMatch(r.obj, p.obj) && regexMatch(r.act, p.act)
`;

const casbin = (size: number): Side => ({
  name: 'casbin',
  open: async () => {
    const lines = Array.from({ length: size }, (_, i) => `p, ${principalOf(i)}, ${prefixOf(i)}*, GET|POST`);
    const enforcer = await newEnforcer(newModelFromString(MODEL), new StringAdapter(lines.join('\n')));
    const requests = requestsOf(size);
    return {
      once() {
        for (const { peerIdentity, judgedPath, method } of requests) {
          enforcer.enforceSync(peerIdentity?.spiffeId, judgedPath, method);
        }
      },
    };
  },
});

const comparisons: Comparison[] = [];
comparisons.push(
  await compareCpu({
    question: 'A decision of authorization, by number of policies',
    sides: SIZES.map((size) => ({ ...ours(size), name: `${size}` })),
    concurrency: 1,
    perRun: 3_000,
    runs: 3,
    each: { what: 'decision', perOnce: DECISIONS },
  }),
);
for (const size of SIZES) {
  comparisons.push(
    await compareCpu({
      question: `A decision of authorization beside casbin, ${size} policies`,
      sides: [casbin(size), ours(size)],
      concurrency: 1,
      perRun: SMOKE ? 5 : Math.max(20, Math.ceil(1_000 / size)),
      runs: 3,
      each: { what: 'decision', perOnce: DECISIONS },
    }),
  );
}
report(...comparisons);
