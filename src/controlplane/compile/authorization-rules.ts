import { isIP } from 'node:net';
import type {
  AuthorizationRuleSpec,
  ConditionSpec,
  OperationSpec,
  SourceSpec,
  TimeSpec,
} from '../yaml/schema/authorization-policy.js';
import type { Own } from './limit-rules.js';

/** What rules are compiled for. */
export interface RuleContext {
  readonly namespace: string;
  readonly trustDomain: string;
  /** Whether the rule denies: then it takes what it is not certain of. */
  readonly denies: boolean;
}

/** A policy of Envoy's RBAC, which may have conditions of ours. */
export interface CompiledRule {
  readonly policy: Own;
  /** Whether it has any that Envoy has no words for. */
  readonly own: boolean;
}

type Condition = Own;

const ANY: Condition = { any: true };

/** A rule: any of `from` and any of `to`, at any of `time`, and all of `when` (Istio). */
export function compileRule(rule: AuthorizationRuleSpec, context: RuleContext): CompiledRule {
  const when = (rule.when ?? []).map((condition) => whenOf(condition, context));
  const permissions: Condition[] = [
    ...(rule.to === undefined
      ? []
      : [
          anyOf(
            rule.to.map((to) => operationOf(to, context)),
            'rules',
          ),
        ]),
    ...(rule.time === undefined ? [] : [anyOf(rule.time.map(timeOf), 'rules')]),
    ...when.flatMap(({ permission }) => permission ?? []),
  ];
  const principals: Condition[] = [
    ...(rule.from === undefined
      ? []
      : [
          anyOf(
            rule.from.map((from) => sourceOf(from, context)),
            'ids',
          ),
        ]),
    ...when.flatMap(({ principal }) => principal ?? []),
  ];
  const own =
    rule.time !== undefined ||
    (rule.from ?? []).some(
      ({ requestPrincipals, notRequestPrincipals }) => (requestPrincipals ?? notRequestPrincipals) !== undefined,
    ) ||
    (rule.when ?? []).some(({ key }) => key.startsWith('request.auth.'));
  return {
    policy: { permissions: [allOf(permissions, 'rules')], principals: [allOf(principals, 'ids')] },
    own,
  };
}

/** Permissions have rules, principals ids. */
type Sort = 'rules' | 'ids';

function anyOf(of: readonly Condition[], sort: Sort): Condition {
  const [first = ANY, second] = of;
  return second === undefined ? first : { [`or_${sort}`]: { [sort]: of } };
}

function allOf(of: readonly Condition[], sort: Sort): Condition {
  const [first = ANY, second] = of;
  return second === undefined ? first : { [`and_${sort}`]: { [sort]: of } };
}

const noneOf = (of: readonly Condition[], sort: Sort): Condition => ({
  [sort === 'rules' ? 'not_rule' : 'not_id']: anyOf(of, sort),
});

function sourceOf(source: SourceSpec, context: RuleContext): Condition {
  const principal = (value: string): Condition => named(principalMatch(value, context));
  const namespace = (value: string): Condition => named(namespaceMatch(value, context));
  const token = (value: string): Condition => ({ request_principal: match(value) });
  return allOf(
    [
      ...both(source.principals, source.notPrincipals, principal, 'ids'),
      ...both(source.namespaces, source.notNamespaces, namespace, 'ids'),
      ...both(source.requestPrincipals, source.notRequestPrincipals, token, 'ids'),
      ...both(source.ipBlocks, source.notIpBlocks, (value) => ({ direct_remote_ip: cidr(value) }), 'ids'),
      ...both(source.remoteIpBlocks, source.notRemoteIpBlocks, (value) => ({ remote_ip: cidr(value) }), 'ids'),
    ],
    'ids',
  );
}

function operationOf(operation: OperationSpec, { denies }: RuleContext): Condition {
  // What is negated is the other way round: that something is none of these is certain only when it is not nearly one of them.
  const hosts = (wide: boolean) => (value: string) => hostOf(value, wide);
  const methods = (wide: boolean) => (value: string) =>
    header(':method', { ...match(value), ...(wide && IGNORE_CASE) });
  const paths = (wide: boolean) => (value: string) => pathOf(value, wide);
  const port = (value: number): Condition => ({ destination_port: value });
  return allOf(
    [
      ...both(operation.hosts, undefined, hosts(denies), 'rules'),
      ...both(undefined, operation.notHosts, hosts(!denies), 'rules'),
      ...both(operation.ports, operation.notPorts, port, 'rules'),
      ...both(operation.methods, undefined, methods(denies), 'rules'),
      ...both(undefined, operation.notMethods, methods(!denies), 'rules'),
      ...both(operation.paths, undefined, paths(denies), 'rules'),
      ...both(undefined, operation.notPaths, paths(!denies), 'rules'),
    ],
    'rules',
  );
}

/** Any of some values, and none of others. */
function both<T>(
  yes: readonly T[] | undefined,
  no: readonly T[] | undefined,
  condition: (value: T) => Condition,
  sort: Sort,
): Condition[] {
  return [
    ...(yes === undefined ? [] : [anyOf(yes.map(condition), sort)]),
    ...(no === undefined ? [] : [noneOf(no.map(condition), sort)]),
  ];
}

const IGNORE_CASE = { ignore_case: true };

/** `*`: any that is not empty; `a*`, `*a`; else the text itself. */
function match(value: string): Own {
  if (value === '*') return { safe_regex: { regex: '.+' } };
  if (value.endsWith('*')) return { prefix: value.slice(0, -1) };
  return value.startsWith('*') ? { suffix: value.slice(1) } : { exact: value };
}

const named = (name: Own): Condition => ({ authenticated: { principal_name: name } });

const header = (name: string, string_match: Own): Condition => ({ header: { name, string_match } });

/** As Istio writes them, without the scheme; a name alone is a Service of the policy's namespace. */
function principalMatch(value: string, { namespace, trustDomain }: RuleContext): Own {
  if (/^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$/.test(value))
    return { exact: `spiffe://${trustDomain}/ns/${namespace}/sa/${value}` };
  if (value.startsWith('*') || value.startsWith('spiffe://')) return match(value);
  return match(`spiffe://${value}`);
}

function namespaceMatch(value: string, { trustDomain }: RuleContext): Own {
  const prefix = `spiffe://${trustDomain}/ns/`;
  if (value === '*') return { prefix };
  if (value.endsWith('*')) return { prefix: `${prefix}${value.slice(0, -1)}` };
  if (!value.startsWith('*')) return { prefix: `${prefix}${value}/` };
  return { safe_regex: { regex: `${quoted(prefix)}[^/]*${quoted(value.slice(1))}/.*` } };
}

const quoted = (text: string): string => text.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&');

/** With a port, or without; what denies takes the root's dot along, which is the same host. */
function hostOf(value: string, wide: boolean): Condition {
  const of = (string_match: Own): Condition => header(':authority', { ...string_match, ...IGNORE_CASE });
  if (value === '*') return header(':authority', match(value));
  if (value.endsWith('*') || /:\d+$/.test(value)) return of(match(value));
  if (value.startsWith('*')) {
    const end = quoted(value.slice(1));
    return header(':authority', { safe_regex: { regex: `(?i).*${end}${wide ? '\\.?' : ''}(:[0-9]+)?` } });
  }
  const forms = wide ? [value, `${value}.`] : [value];
  return anyOf(
    forms.flatMap((form) => [of({ exact: form }), of({ prefix: `${form}:` })]),
    'rules',
  );
}

/** "The path" of Istio is without query. What denies does not care for case, nor for a slash at the end: frameworks often do not either. */
function pathOf(value: string, wide: boolean): Condition {
  const of = (path: Own): Condition => ({
    url_path: { path: { ...path, ...(wide && !('safe_regex' in path) && IGNORE_CASE) } },
  });
  if (!wide || value === '*' || value.endsWith('*')) return of(match(value));
  const other = value.endsWith('/') ? value.slice(0, -1) : `${value}/`;
  return other === '' ? of(match(value)) : anyOf([of(match(value)), of(match(other))], 'rules');
}

function cidr(value: string): Own {
  const [address = '', length] = value.split('/');
  return {
    address_prefix: address,
    prefix_len: { value: length === undefined ? (isIP(address) === 4 ? 32 : 128) : Number(length) },
  };
}

interface When {
  readonly permission?: Condition[];
  readonly principal?: Condition[];
}

function whenOf({ key, values, notValues }: ConditionSpec, context: RuleContext): When {
  const principal = (of: (value: string) => Condition): When => ({ principal: both(values, notValues, of, 'ids') });
  const permission = (of: (value: string) => Condition): When => ({ permission: both(values, notValues, of, 'rules') });
  const [, name] = /^request\.headers\[(.+)\]$/.exec(key) ?? [];
  if (name !== undefined && /^(:authority|host)$/i.test(name)) {
    const { denies } = context;
    const host = (wide: boolean) => (value: string) =>
      wide || value === '*' ? hostOf(value, wide) : header(':authority', { ...match(value), ...IGNORE_CASE });
    return {
      permission: [
        ...both(values, undefined, host(denies), 'rules'),
        ...both(undefined, notValues, host(!denies), 'rules'),
      ],
    };
  }
  if (name !== undefined) return permission((value) => header(name.toLowerCase(), match(value)));
  if (key.startsWith('request.auth.claims[')) {
    const path = [...key.matchAll(/\[([^\]]+)\]/g)].map(([, part = '']) => part);
    return principal((value) => ({ claim: { path, match: match(value) } }));
  }
  switch (key) {
    case 'request.auth.principal':
      return principal((value) => ({ request_principal: match(value) }));
    case 'request.auth.audiences':
      return principal((value) => ({ claim: { path: ['aud'], match: match(value) } }));
    case 'request.auth.presenter':
      return principal((value) => ({ claim: { path: ['azp'], match: match(value) } }));
    case 'source.principal':
      return principal((value) => named(principalMatch(value, context)));
    case 'source.namespace':
      return principal((value) => named(namespaceMatch(value, context)));
    case 'source.ip':
      return principal((value) => ({ direct_remote_ip: cidr(value) }));
    case 'remote.ip':
      return principal((value) => ({ remote_ip: cidr(value) }));
    case 'destination.ip':
      return permission((value) => ({ destination_ip: cidr(value) }));
    case 'destination.port':
      return permission((value) => ({ destination_port: Number(value) }));
    default:
      return permission((value) => ({ requested_server_name: match(value) }));
  }
}

const minutes = (clock: string): number => Number(clock.slice(0, 2)) * 60 + Number(clock.slice(3));

const timeOf = ({ zone, days, from, to, dates }: TimeSpec): Condition => ({
  time: {
    zone,
    ...(days !== undefined && { weekdays: days.map((day) => day.toUpperCase()) }),
    from: minutes(from),
    to: minutes(to),
    ...(dates !== undefined && {
      dates: dates.map((range) => {
        const [first = '', last = first] = range.split('/');
        return { from: first, to: last };
      }),
    }),
  },
});
