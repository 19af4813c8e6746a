import * as v from 'valibot';
import { about, integer, listOf, oneOf, pattern, resource, text } from './fields.js';
import { policyTarget } from './policy-target.js';

const MAX_VALUES = 1_000;
const values = (what: string) => about(v.optional(listOf(text(1, 2_048), 1, MAX_VALUES)), what);
const WILDCARDS = '`*` at the end or the beginning stands for anything, `*` alone for any that is not empty';

const source = v.strictObject({
  principals: values(
    `Who calls, by a verified certificate: \`cluster.local/ns/default/sa/orders\`, or in short the name of a Service of this namespace, \`orders\`. ${WILDCARDS}.`,
  ),
  notPrincipals: values('None of these.'),
  namespaces: values(`Namespaces of callers in this trust domain, by their certificates. ${WILDCARDS}.`),
  notNamespaces: values('None of these.'),
  requestPrincipals: values(`\`<iss>/<sub>\` of a verified token. ${WILDCARDS}.`),
  notRequestPrincipals: values('None of these.'),
  ipBlocks: values('Addresses and CIDRs at the other end of the connection.'),
  notIpBlocks: values('None of these.'),
  remoteIpBlocks: values('Addresses and CIDRs of the client, as proxies that are trusted tell it (`trustedProxies`).'),
  notRemoteIpBlocks: values('None of these.'),
});

const operation = v.strictObject({
  hosts: values(`Host that is asked for, with its port or without, in any case. ${WILDCARDS}.`),
  notHosts: values('None of these.'),
  ports: about(v.optional(listOf(integer(1, 65_535), 1, MAX_VALUES)), 'Port that the server listens on.'),
  notPorts: about(v.optional(listOf(integer(1, 65_535), 1, MAX_VALUES)), 'None of these.'),
  methods: values('HTTP method; POST for gRPC.'),
  notMethods: values('None of these.'),
  paths: values(
    `Canonical path without query; \`/package.Service/Method\` for gRPC. ${WILDCARDS}. What denies takes upper and lower case, and a slash at the end, for the same.`,
  ),
  notPaths: values('None of these.'),
});

const condition = v.strictObject({
  key: about(
    text(1, 256),
    '`request.headers[name]`, `request.auth.claims[name]` (`[a][b]` leads into objects), `request.auth.principal`, `request.auth.audiences`, `request.auth.presenter`, `source.principal`, `source.namespace`, `source.ip`, `remote.ip`, `destination.ip`, `destination.port` or `connection.sni` (Istio).',
  ),
  values: values(`Any of these. ${WILDCARDS}.`),
  notValues: values('None of these.'),
});

const CLOCK = /^([01]\d|2[0-3]):[0-5]\d$|^24:00$/;
const DATES = /^\d{4}-\d{2}-\d{2}(\/\d{4}-\d{2}-\d{2})?$/;

const time = v.strictObject({
  zone: about(v.optional(text(1, 64), 'UTC'), 'IANA time zone: `Europe/Vienna`. Default UTC.'),
  days: about(
    v.optional(listOf(oneOf(['sun', 'mon', 'tue', 'wed', 'thu', 'fri', 'sat']), 1, 7)),
    'Weekdays; of a time that goes past midnight the one on which it begins. Default: every day.',
  ),
  from: about(
    v.optional(pattern(CLOCK, 'a time of day such as 08:30'), '00:00'),
    'Time of day at which it begins, as clocks there show it. Default 00:00.',
  ),
  to: about(
    v.optional(pattern(CLOCK, 'a time of day such as 17:00'), '24:00'),
    'Time of day at which it has ended; not after `from`: on the next day. Default 24:00.',
  ),
  dates: about(
    v.optional(listOf(pattern(DATES, 'a date such as 2026-12-24, or two with "/" between'), 1, 100)),
    'Dates, or first and last day: `2026-12-24/2027-01-06`. Default: every date.',
  ),
});

const rule = v.strictObject({
  from: about(v.optional(listOf(source, 1, 100)), 'Any of these callers. Default: everybody.'),
  to: about(v.optional(listOf(operation, 1, 100)), 'Any of these requests. Default: all.'),
  when: about(v.optional(listOf(condition, 1, 100)), 'All of these conditions besides.'),
  time: about(v.optional(listOf(time, 1, 20)), 'At any of these times. Default: always.'),
});

const spec = v.strictObject({
  targetRefs: about(
    v.optional(listOf(policyTarget, 1, 16)),
    'Services, or routes or rules of them, whose servers see to it. Default: every Service of the mesh.',
  ),
  action: about(
    v.optional(oneOf(['ALLOW', 'DENY', 'AUDIT']), 'ALLOW'),
    '`DENY`: what a rule matches is refused, first of all. `ALLOW`: where any such policy is, what no rule of any of them matches is refused. `AUDIT`: what a rule matches is told. Default ALLOW.',
  ),
  rules: about(
    v.optional(listOf(rule, 0, 500), []),
    'Any of these. Default: none, which allows nothing; `[{}]` is everything.',
  ),
  dryRun: about(
    v.optional(v.boolean('must be true or false'), false),
    'Decided and counted, without effect. Default false.',
  ),
});

/** Who may do what (Istio's AuthorizationPolicy, with times). */
export const authorizationPolicy = resource('AuthorizationPolicy', ['inmesh.dev/v1alpha1'], { spec });

export type AuthorizationPolicySpec = v.InferOutput<typeof spec>;
export type AuthorizationRuleSpec = v.InferOutput<typeof rule>;
export type SourceSpec = v.InferOutput<typeof source>;
export type OperationSpec = v.InferOutput<typeof operation>;
export type ConditionSpec = v.InferOutput<typeof condition>;
export type TimeSpec = v.InferOutput<typeof time>;

/** What happens to requests that no AuthorizationPolicy speaks of, and who is told of decisions; of MeshConfig. */
export const authorizationDefaults = v.strictObject({
  default: about(
    v.optional(oneOf(['allow', 'audit', 'deny']), 'allow'),
    'Requests to a Service without a policy that allows something: `allow`, `deny`, or `audit` to let them in and count what `deny` would refuse. Default allow.',
  ),
  audit: about(
    v.optional(oneOf(['none', 'denied', 'allowed', 'all']), 'none'),
    'Which decisions are told to the logger (at `warn`) and the channel `mesh:authz:audit` (gRFC A59). Default none.',
  ),
});
