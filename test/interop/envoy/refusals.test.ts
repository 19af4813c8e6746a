import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ROUTE, type Resource } from '../../../src/core/resources.js';
import { decoders } from '../../support/decoders.js';
import { routeResource, routerFilter, toCluster } from '../../support/xds-resources.js';
import { Envoy, envoyBinary } from './envoy.js';
import { staticCluster } from './our-side.js';

/* What a real Envoy refuses of a RouteConfiguration, and what it takes: the same for both. */

const host = (name: string, domains: readonly string[]): Resource => ({ name, domains, routes: [toCluster('red')] });
const hosts = (...list: readonly Resource[]): Resource => ({ virtual_hosts: list });
const one = (route: Resource): Resource => routeResource('', [route]);
const match = (fields: Resource): Resource => one(toCluster('red', fields));
const forward = (fields: Resource): Resource => one(toCluster('red', undefined, fields));
const header = (fields: Resource): Resource => match({ prefix: '/', headers: [{ name: 'x-a', ...fields }] });
const adds = (key: string, value: string, fields: Resource = {}): Resource =>
  one({ ...toCluster('red'), request_headers_to_add: [{ header: { key, value }, ...fields }] });
const direct = (fields: Resource): Resource => one({ match: { prefix: '/' }, direct_response: fields });
const redirect = (fields: Resource): Resource => one({ match: { prefix: '/' }, redirect: fields });
const rewrite = (regex: string, substitution: string): Resource =>
  forward({ regex_rewrite: { pattern: { regex }, substitution } });
const retry = (fields: Resource): Resource => forward({ retry_policy: { retry_on: '5xx', ...fields } });

const CASES: Readonly<Record<string, Resource>> = {
  'nothing at all': {},
  'two virtual hosts': hosts(host('a', ['a.test']), host('b', ['*.test', '*'])),
  'two virtual hosts of one name': hosts(host('a', ['a.test']), host('a', ['b.test'])),
  'a virtual host without a name': hosts(host('', ['a.test'])),
  'a domain twice': hosts(host('a', ['a.test']), host('b', ['a.test'])),
  'a domain twice in one virtual host': hosts(host('a', ['a.test', 'a.test'])),
  'a domain twice, but for its case': hosts(host('a', ['a.test']), host('b', ['A.Test'])),
  'two virtual hosts for all': hosts(host('a', ['*']), host('b', ['*'])),
  'no domains': hosts(host('a', [])),
  'an empty domain': hosts(host('a', [''])),
  'a wildcard in the middle': hosts(host('a', ['a*.test'])),
  'a match of nothing': match({}),
  'no match': one({ route: { cluster: 'red' } }),
  'an expression that is none': match({ safe_regex: { regex: '(' } }),
  'an empty expression': match({ safe_regex: { regex: '' } }),
  'an expression that looks ahead': match({ safe_regex: { regex: '/a(?=b)' } }),
  'an empty prefix': match({ prefix: '' }),
  'an exact path without a slash': match({ path: 'a' }),
  'a separated prefix': match({ path_separated_prefix: '/a' }),
  'a separated prefix that ends in a slash': match({ path_separated_prefix: '/a/' }),
  'a separated prefix with a query': match({ path_separated_prefix: '/a?b' }),
  'a separated prefix of one character': match({ path_separated_prefix: '/' }),
  'a share of more than all': match({
    prefix: '/',
    runtime_fraction: { default_value: { numerator: 101, denominator: 'HUNDRED' } },
  }),
  'a header without a name': header({ name: '', present_match: true }),
  'a header that is a text': header({ string_match: { exact: 'a' } }),
  'a header that begins with nothing': header({ string_match: { prefix: '' } }),
  'a header that contains nothing': header({ string_match: { contains: '' } }),
  'a header of an expression that is none': header({ string_match: { safe_regex: { regex: '[' } } }),
  'a header in an empty range': header({ range_match: { start: 5, end: 5 } }),
  'a query parameter without a name': match({ prefix: '/', query_parameters: [{ name: '', present_match: true }] }),
  'a header added': adds('x-a', '%REQ(x-b)%'),
  'a header added without a name': adds('', 'a'),
  'a header added whose name is none': adds('x a', 'a'),
  'a pseudo-header added': adds(':path', '/'),
  'host added': adds('host', 'a'),
  'a value with a line feed': adds('x-a', 'a\nb'),
  'a format of an unknown command': adds('x-a', '%NOPE%'),
  'a format that does not end': adds('x-a', '%REQ(x-b'),
  'a percent sign alone': adds('x-a', '100%'),
  'two percent signs': adds('x-a', '100%%'),
  'a command without what it needs': adds('x-a', '%REQ%'),
  'a command with what it does not take': adds('x-a', '%PROTOCOL(x)%'),
  'a length that is none': adds('x-a', '%REQ(x-b):a%'),
  'both ways of saying whether it is appended': adds('x-a', 'a', {
    append: { value: true },
    append_action: 'ADD_IF_ABSENT',
  }),
  'host removed': one({ ...toCluster('red'), request_headers_to_remove: ['host'] }),
  'a pseudo-header removed': one({ ...toCluster('red'), request_headers_to_remove: [':path'] }),
  'a direct response': direct({ status: 200, body: { inline_string: 'a' } }),
  'a status that is too small': direct({ status: 99 }),
  'a status that is too great': direct({ status: 600 }),
  'a body of 4,096 bytes': direct({ status: 200, body: { inline_string: 'a'.repeat(4_096) } }),
  'a body of more': direct({ status: 200, body: { inline_string: 'a'.repeat(4_097) } }),
  'a redirect to nowhere else': redirect({}),
  'a port that is none': redirect({ port_redirect: 65_536 }),
  'a host with a line feed': redirect({ host_redirect: 'a\nb' }),
  'a path with a line feed': redirect({ path_redirect: '/a\nb' }),
  'a rewrite': rewrite('^/a', '/b'),
  'a rewrite by an expression that is none': rewrite('(', '/b'),
  'a rewrite with a group that there is not': rewrite('^/a', '\\1'),
  'a rewrite that ends in a backslash': rewrite('^/a', '/\\'),
  'two rewrites': forward({
    prefix_rewrite: '/b',
    regex_rewrite: { pattern: { regex: '^/a' }, substitution: '/b' },
  }),
  'a host rewrite with a line feed': forward({ host_rewrite_literal: 'a\nb' }),
  'weights of nothing': one({
    match: { prefix: '/' },
    route: { weighted_clusters: { clusters: [{ name: 'red', weight: { value: 0 } }] } },
  }),
  'weights of no cluster': one({ match: { prefix: '/' }, route: { weighted_clusters: { clusters: [] } } }),
  'weights that are too great': one({
    match: { prefix: '/' },
    route: {
      weighted_clusters: {
        clusters: ['red', 'red'].map((name) => ({ name, weight: { value: 4_000_000_000 } })),
      },
    },
  }),
  'a hash of nothing': forward({ hash_policy: [{}] }),
  'a hash of a header without a name': forward({ hash_policy: [{ header: { header_name: '' } }] }),
  'a hash of a cookie without a name': forward({ hash_policy: [{ cookie: { name: '' } }] }),
  'a hash of a query parameter without a name': forward({ hash_policy: [{ query_parameter: { name: '' } }] }),
  'a back-off of no time': retry({ retry_back_off: { base_interval: {} } }),
  'a back-off that is at most less': retry({
    retry_back_off: { base_interval: { seconds: 2 }, max_interval: { seconds: 1 } },
  }),
  'a back-off at most no time': retry({ retry_back_off: { base_interval: { seconds: 2 }, max_interval: {} } }),
  'a condition of no known name': retry({ retry_on: 'sometimes' }),
  'a retry for a header without a name': retry({ retriable_headers: [{ name: '', present_match: true }] }),
  'a limit of less than no time': forward({ timeout: { seconds: -1 } }),
  'a mirror to nowhere': forward({ request_mirror_policies: [{}] }),
  'a mirror to a cluster that there is not': forward({ request_mirror_policies: [{ cluster: 'none' }] }),
};

/** Where the two differ, and why that is as it should be. */
const DIFFER: Readonly<Record<string, string>> = {
  'a virtual host without a name': 'ours takes it, as gRPC does: the name is for people',
  'a hash of nothing': 'ours takes it: a kind that is newer looks the same, and gRFC A42 ignores those',
  'an empty domain': 'ours refuses it, as gRPC does: it can match nothing',
  'a wildcard in the middle':
    'ours refuses it, as gRPC does: to Envoy it is a name with a star in it, which no host has',
  'a header added whose name is none': 'ours refuses it: no request with it could be sent (RFC 9110 section 5.1)',
  'a port that is none': 'ours refuses it: there is no such port',
  'a rewrite with a group that there is not': 'ours refuses it: Envoy finds out with every request, and rewrites none',
  'a rewrite that ends in a backslash':
    'ours refuses it: it stands for nothing (RE2), and Envoy drops it with every request',
};

describe.skipIf(envoyBinary === undefined)('a RouteConfiguration', () => {
  const names = Object.keys(CASES);
  const configs = names.map((name, i) => ({ ...CASES[name], name: `r${i}` }));
  let envoy: Envoy;

  beforeAll(async () => {
    const clusters = [staticCluster('red', [1])];
    envoy = await Envoy.start({
      binary: envoyBinary as string,
      routes: configs,
      clusters,
      filters: [routerFilter],
    });
  });
  afterAll(() => envoy?.close());

  test.each(names.map((name, i) => [name, i] as const))('with %s', (name, i) => {
    const read = (): unknown => decoders[ROUTE](configs[i] as Resource, `r${i}`);
    const theirs = envoy.refused.includes(`r${i}`);
    const ours = name in DIFFER ? !theirs : theirs;
    if (ours) expect(read).toThrow();
    else expect(read).not.toThrow();
  });
});
