import { expect, test } from 'vitest';
import { LISTENER, type Resource, ROUTE } from '../../../src/core/resources.js';
import { decoders } from '../../support/decoders.js';
import { cidr, serverResource } from '../../support/server-resources.js';
import { any, routeResource, routerFilter, toCluster } from '../../support/xds-resources.js';
import { acceptsBy, type Leniency, refusesBy, type Rule } from '../../support/xds-rules.js';
import { refusal } from '../../support/refusal.js';

const RBAC = 'envoy.extensions.filters.http.rbac.v3.RBAC';
const RBAC_OVERRIDE = 'envoy.extensions.filters.http.rbac.v3.RBACPerRoute';
const STDOUT_LOGGER = 'envoy.extensions.rbac.audit_loggers.stream.v3.StdoutAuditLog';

const listenerWith = (filter: Resource) =>
  decoders[LISTENER](serverResource('l', { http_filters: [filter, routerFilter] }), 'l');
const inFilter = (rbac: Resource) => listenerWith({ name: 'rbac', typed_config: any(RBAC, rbac) });
/** The same configuration as a route's override, which is accepted when it is right. */
const inOverride = (rbac: Resource) => {
  const override = any(RBAC_OVERRIDE, { rbac });
  const route = { ...toCluster('c'), typed_per_filter_config: { rbac: override } };
  return decoders[ROUTE](routeResource('r', [route]), 'r');
};

const everybody: Resource = { any: true };
const policy = (fields: Resource): Resource => ({
  rules: { policies: { p: { permissions: [everybody], principals: [everybody], ...fields } } },
});
const permission = (rule: Resource): Resource => policy({ permissions: [rule] });
const principal = (identifier: Resource): Resource => policy({ principals: [identifier] });
const audit = (audit_logging_options: Resource): Resource => ({ rules: { audit_logging_options } });

const P = 'rules.policies["p"]';

const RULES: readonly Rule[] = [
  {
    rule: 'action is unknown',
    source: 'A41',
    resource: { rules: { action: 9 } },
    problem: 'rules.action: must be one of ALLOW, DENY, LOG, got 9',
  },
  {
    rule: 'a policy has a CEL condition',
    source: 'A41',
    resource: policy({ condition: {} }),
    problem: `${P}.condition: must not be set: CEL is not supported`,
  },
  {
    rule: 'a policy has a checked CEL condition',
    source: 'A41',
    resource: policy({ checked_condition: {} }),
    problem: `${P}.checked_condition: must not be set: CEL is not supported`,
  },
  {
    rule: 'a policy has no permission',
    source: 'rbac.proto',
    resource: policy({ permissions: [] }),
    problem: `${P}.permissions: must have at least one`,
  },
  {
    rule: 'a policy has no principal',
    source: 'rbac.proto',
    resource: policy({ principals: [] }),
    problem: `${P}.principals: must have at least one`,
  },
  {
    rule: 'the policy is a matcher tree',
    source: 'rbac.proto',
    resource: { matcher: {} },
    problem: 'matcher: is not supported; use rules',
  },
  {
    rule: 'a permission matches a grpc- header',
    source: 'A41',
    resource: permission({ header: { name: 'grpc-timeout', present_match: true } }),
    problem: `${P}.permissions[0].header.name: must not be :scheme, nor begin with "grpc-", got "grpc-timeout"`,
  },
  {
    rule: 'a permission matches a grpc- header in capitals',
    source: 'A41',
    resource: permission({ header: { name: 'GRPC-Encoding', present_match: true } }),
    problem: `${P}.permissions[0].header.name: must not be :scheme`,
  },
  {
    rule: 'a permission deep inside matches :scheme',
    source: 'A41',
    resource: permission({
      and_rules: { rules: [{ or_rules: { rules: [{ not_rule: { header: { name: ':scheme' } } }] } }] },
    }),
    problem: `${P}.permissions[0].and_rules.rules[0].or_rules.rules[0].not_rule.header.name: must not be :scheme`,
  },
  {
    rule: 'a principal deep inside matches a grpc- header',
    source: 'A41',
    resource: principal({ and_ids: { ids: [{ or_ids: { ids: [{ not_id: { header: { name: 'grpc-x' } } }] } }] } }),
    problem: `${P}.principals[0].and_ids.ids[0].or_ids.ids[0].not_id.header.name: must not be :scheme`,
  },
  {
    rule: 'a header matcher has no specifier that is known',
    source: 'A28',
    resource: permission({ header: { name: 'a' } }),
    problem: `${P}.permissions[0].header: must have one of`,
  },
  {
    rule: 'a permission has no rule that is known',
    source: 'A41',
    resource: permission({}),
    problem: `${P}.permissions[0]: must have one of and_rules`,
  },
  ...['destination_port_range', 'matcher', 'uri_template'].map((name) => ({
    rule: `a permission is a ${name}`,
    source: 'A41',
    resource: permission({ [name]: {} }),
    problem: `${P}.permissions[0]: must have one of and_rules`,
  })),
  {
    rule: 'a principal has no identifier that is known',
    source: 'A41',
    resource: principal({}),
    problem: `${P}.principals[0]: must have one of and_ids`,
  },
  {
    rule: 'a principal is a filter_state',
    source: 'A41',
    resource: principal({ filter_state: { key: 'k' } }),
    problem: `${P}.principals[0]: must have one of and_ids`,
  },
  {
    rule: 'a set of rules is empty, and would match everything',
    source: 'rbac.proto',
    resource: permission({ and_rules: {} }),
    problem: `${P}.permissions[0].and_rules.rules: must have at least one`,
  },
  {
    rule: 'a set of ids is empty',
    source: 'rbac.proto',
    resource: principal({ or_ids: { ids: [] } }),
    problem: `${P}.principals[0].or_ids.ids: must have at least one`,
  },
  {
    rule: 'any is false',
    source: 'rbac.proto',
    resource: principal({ any: false }),
    problem: `${P}.principals[0].any: must be true`,
  },
  {
    rule: 'url_path has no path',
    source: 'path.proto',
    resource: permission({ url_path: {} }),
    problem: `${P}.permissions[0].url_path.path: must be set`,
  },
  {
    rule: 'the regex of url_path does not compile',
    source: 'A28',
    resource: principal({ url_path: { path: { safe_regex: { regex: '(' } } } }),
    problem: `${P}.principals[0].url_path.path.safe_regex.regex`,
  },
  {
    rule: 'destination_ip is no range',
    source: 'A41',
    resource: permission({ destination_ip: cidr('x') }),
    problem: `${P}.permissions[0].destination_ip.address_prefix: must be an IP address`,
  },
  {
    rule: 'destination_port is out of range',
    source: 'rbac.proto',
    resource: permission({ destination_port: 65_536 }),
    problem: `${P}.permissions[0].destination_port: must be at most 65535`,
  },
  {
    rule: 'requested_server_name is no matcher',
    source: 'A41',
    resource: permission({ requested_server_name: {} }),
    problem: `${P}.permissions[0].requested_server_name: must have one of`,
  },
  {
    rule: 'principal_name is no matcher',
    source: 'A41',
    resource: principal({ authenticated: { principal_name: {} } }),
    problem: `${P}.principals[0].authenticated.principal_name: must have one of`,
  },
  ...['source_ip', 'direct_remote_ip', 'remote_ip'].map((name) => ({
    rule: `${name} is no range`,
    source: 'A41',
    resource: principal({ [name]: cidr('x') }),
    problem: `${P}.principals[0].${name}.address_prefix: must be an IP address`,
  })),
  {
    rule: 'an audit logger is unknown and not optional',
    source: 'A59',
    resource: audit({ logger_configs: [{ audit_logger: { name: 'x', typed_config: any('x.Y') } }] }),
    problem: 'logger_configs[0].audit_logger.typed_config: audit logger "x.Y" is not supported',
  },
  {
    rule: 'an audit logger has no configuration',
    source: 'A59',
    resource: audit({ logger_configs: [{ is_optional: true, audit_logger: { name: 'x' } }] }),
    problem: 'logger_configs[0].audit_logger.typed_config: must be set',
  },
  {
    rule: 'audit_condition is unknown',
    source: 'A59',
    resource: audit({ audit_condition: 4 }),
    problem: 'rules.audit_logging_options.audit_condition: must be one of NONE',
  },
];

const VALID: readonly Leniency[] = [
  { rule: 'it has no rules', source: 'A41', resource: {} },
  { rule: 'its action is LOG', source: 'A41', resource: { rules: { action: 'LOG' } } },
  { rule: 'it has shadow rules, which are ignored', source: 'A41', resource: { shadow_rules: { action: 9 } } },
  {
    rule: 'each kind of permission is there',
    source: 'A41',
    resource: policy({
      permissions: [
        { and_rules: { rules: [everybody] } },
        { or_rules: { rules: [everybody] } },
        { not_rule: everybody },
        { header: { name: ':path', string_match: { exact: '/a' } } },
        { header: { name: 'Host', string_match: { prefix: 'a' } } },
        { url_path: { path: { prefix: '/a' } } },
        { destination_ip: cidr('10.0.0.0', 8) },
        { destination_port: 80 },
        { metadata: { filter: 'x', invert: true } },
        { requested_server_name: { exact: '' } },
      ],
    }),
  },
  {
    rule: 'each kind of principal is there',
    source: 'A41',
    resource: policy({
      principals: [
        { and_ids: { ids: [everybody] } },
        { or_ids: { ids: [everybody] } },
        { not_id: everybody },
        { authenticated: {} },
        { authenticated: { principal_name: { exact: 'spiffe://a/b' } } },
        { source_ip: cidr('::1', 128) },
        { direct_remote_ip: cidr('::1', 128) },
        { remote_ip: cidr('::1', 128) },
        { header: { name: 'a', present_match: true } },
        { url_path: { path: { exact: '/a' } } },
        { metadata: { filter: 'x' } },
      ],
    }),
  },
  {
    rule: 'its audit loggers are the one built in and another that is optional',
    source: 'A59',
    resource: audit({
      audit_condition: 'ON_DENY',
      logger_configs: [
        { audit_logger: { name: 'out', typed_config: any(STDOUT_LOGGER) } },
        { is_optional: true, audit_logger: { name: 'x', typed_config: any('x.Y') } },
      ],
    }),
  },
];

refusesBy('LDS server, RBAC', inFilter, RULES);
refusesBy('RDS, RBACPerRoute', inOverride, RULES);
acceptsBy('RDS, RBACPerRoute', inOverride, VALID);

acceptsBy('LDS server, RBAC', inFilter, VALID);

test('LDS server, RBAC: one that is optional is enforced, and checked (A39)', () => {
  const optional = (rbac: Resource) => ({ name: 'rbac', typed_config: any(RBAC, rbac), is_optional: true });
  expect(listenerWith(optional(policy({}))).kind).toBe('server');
  expect(refusal(() => listenerWith(optional({ rules: { action: 9 } })))).toContain('rules.action');
});

test('LDS server, RBAC: NACK when it comes as a TypedStruct (A39)', () => {
  const typed_config = any('xds.type.v3.TypedStruct', { type_url: `type.googleapis.com/${RBAC}` });
  expect(refusal(() => listenerWith({ name: 'rbac', typed_config }))).toContain(`must be a ${RBAC} itself`);
});

test('RDS, RBACPerRoute: an empty one switches the filter off (rbac.proto)', () => {
  const route = { ...toCluster('c'), typed_per_filter_config: { rbac: any(RBAC_OVERRIDE) } };
  expect(decoders[ROUTE](routeResource('r', [route]), 'r').virtualHosts).toHaveLength(1);
});
