import { nearest } from '../../core/decode.js';
import type { Resource } from '../../core/resources.js';
import type { Document, DocumentOf } from '../yaml/document.js';
import type { Path } from '../yaml/problem.js';
import type { RoutePolicySpec } from '../yaml/schema/route-policy.js';
import type { Backends } from './backends.js';
import { inMetadata } from './own-metadata.js';
import type { RouteDocument } from './parents.js';
import { duration, type Plain, struct } from './proto.js';
import type { References } from './references.js';
import { checkAgainstRule } from './route-policy-checks.js';

/** The policy of each rule that has one, by route and place. */
export type RoutePolicies = ReadonlyMap<RouteDocument, ReadonlyMap<number, RoutePolicySpec>>;

const NO_BACKENDS: Backends = { valid: [], danglingWeight: 0, mirrors: [] };

/** Finds the rules that policies are for; one that names a rule comes before one for the whole route. */
export function resolveRoutePolicies(
  policies: readonly DocumentOf<'RoutePolicy'>[],
  routes: readonly RouteDocument[],
  backends: ReadonlyMap<RouteDocument, readonly Backends[]>,
  references: References,
): RoutePolicies {
  const found = new Map<RouteDocument, Map<number, DocumentOf<'RoutePolicy'>>>();
  const owners = new Map<string, string>();
  for (const { policy, target, at } of targetsOf(policies)) {
    const route = routeNamed(policy, [...at, 'name'], target, routes, references);
    if (route === undefined) continue;
    const key = `${route.kind}/${route.namespace}/${route.name}/${target.sectionName ?? ''}`;
    const owner = owners.get(key);
    if (owner !== undefined)
      references.report(policy, at, `these rules already have RoutePolicy "${owner}": put both into one`);
    else owners.set(key, policy.name);
    const rules = found.get(route) ?? new Map<number, DocumentOf<'RoutePolicy'>>();
    found.set(route, rules);
    for (const rule of rulesNamed(policy, [...at, 'sectionName'], target, route, references))
      rules.set(rule, rules.get(rule) ?? policy);
  }
  for (const [route, rules] of found) {
    for (const [index, policy] of rules) {
      const rule = route.spec.rules[index];
      if (rule !== undefined) checkAgainstRule(policy, rule, backends.get(route)?.[index] ?? NO_BACKENDS, references);
    }
  }
  return new Map(
    [...found].map(([route, rules]) => [route, new Map([...rules].map(([rule, { spec }]) => [rule, spec]))]),
  );
}

type TargetRef = RoutePolicySpec['targetRefs'][number];

/** Those that name a rule go first. */
function targetsOf(policies: readonly DocumentOf<'RoutePolicy'>[]) {
  const all = policies.flatMap((policy) =>
    policy.spec.targetRefs.map((target, index) => ({ policy, target, at: ['spec', 'targetRefs', index] })),
  );
  const named = all.filter(({ target }) => target.sectionName !== undefined);
  return [...named, ...all.filter(({ target }) => target.sectionName === undefined)];
}

/** The rules that a target means; a name that the route does not have is reported. */
export function rulesNamed(
  policy: Document,
  path: Path,
  { sectionName }: Pick<TargetRef, 'sectionName'>,
  route: RouteDocument,
  references: References,
): number[] {
  const names = route.spec.rules.map(({ name }) => name);
  if (sectionName === undefined) return [...names.keys()];
  const rule = names.indexOf(sectionName);
  if (rule >= 0) return [rule];
  const known = names.filter((name) => name !== undefined).join(', ') || 'none';
  const message = `${route.kind} "${route.name}" has no rule named "${sectionName}"; its names: ${known}`;
  references.report(policy, path, message);
  return [];
}

/** The route that a target means; one that is not there is reported. */
export function routeNamed(
  policy: Document,
  path: Path,
  { kind, name }: Pick<TargetRef, 'kind' | 'name'>,
  routes: readonly RouteDocument[],
  references: References,
): RouteDocument | undefined {
  const candidates = routes.filter((route) => route.kind === kind && route.namespace === policy.namespace);
  const route = candidates.find((candidate) => candidate.name === name);
  if (route !== undefined || references.isUnreadable(kind, policy.namespace, name)) return route;
  const names = candidates.map((candidate) => candidate.name);
  const near = nearest(name, names);
  const hint = near === undefined ? `known: ${names.slice(0, 20).join(', ') || 'none'}` : `did you mean "${near}"?`;
  references.report(policy, path, `there is no ${kind} "${name}"; ${hint}`, {
    expected: `the name of a ${kind}`,
    ...(near !== undefined && { nearest: near }),
  });
  return undefined;
}

/** What it asks of calls, to be added to a `RouteMatch`. */
export function conditions(policy: RoutePolicySpec | undefined): Resource {
  const { sourceLabels = {}, sourcePrincipals, requestPercent } = policy ?? {};
  const callers = [
    ...Object.entries(sourceLabels).map(([name, exact]) => callerMatch(['labels', name], { exact })),
    ...(sourcePrincipals === undefined ? [] : [callerMatch(['principal'], oneOf(sourcePrincipals))]),
  ];
  return {
    ...(callers.length > 0 && { dynamic_metadata: callers }),
    ...(requestPercent !== undefined && {
      runtime_fraction: {
        default_value: { ...(requestPercent > 0 && { numerator: requestPercent * 10_000 }), denominator: 'MILLION' },
      },
    }),
  };
}

/** `core/model/match.ts`, SourceMatch. */
const callerMatch = (path: readonly string[], string_match: Resource): Resource => ({
  filter: 'inmesh.dev/source',
  path: path.map((key) => ({ key })),
  value: { string_match },
});

/** All conditions on the caller must hold, so that several names are one expression. */
function oneOf(values: readonly string[]): Resource {
  if (values.length === 1) return { exact: values[0] as string };
  return { safe_regex: { regex: values.map((value) => value.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')).join('|') } };
}

/** Whether a rule is for some of the calls that it matches: it goes before an equal one that is for all of them. */
export const isConditional = (policy: RoutePolicySpec | undefined): boolean =>
  Object.keys(conditions(policy)).length > 0;

/** `RouteAction.metadata_match`. */
export const subsetFields = (policy: RoutePolicySpec | undefined): Resource =>
  policy?.subset === undefined ? {} : { metadata_match: { filter_metadata: { 'envoy.lb': struct(policy.subset) } } };

/** What else of a RouteAction it says by itself. */
export function actionFields(policy: RoutePolicySpec | undefined): Resource {
  const { appendForwardedHost, priority, idleTimeout, hedge } = policy ?? {};
  return {
    ...(appendForwardedHost === true && { append_x_forwarded_host: true }),
    // DEFAULT is the first name of the enum, and never travels.
    ...(priority === 'HIGH' && { priority }),
    ...(idleTimeout !== undefined && { idle_timeout: duration(idleTimeout) }),
    // For Envoy, which knows no other hedging.
    ...(hedge?.onPerTryTimeout === true && { hedge_policy: { hedge_on_per_try_timeout: true } }),
  };
}

/** `Route.metadata`: hedging is ours, as Envoy has it only after the limit of an attempt. */
export function routeMetadata({ hedge }: RoutePolicySpec): Resource {
  if (hedge === undefined) return {};
  const { maxAttempts, delay, percentile, maxExtraPercent, nonFatalStatuses, onPerTryTimeout } = hedge;
  const own: { readonly [key: string]: Plain } = {
    max_attempts: maxAttempts,
    ...(delay !== undefined && { delay_ms: delay }),
    percentile: percentile / 100,
    max_extra_load: maxExtraPercent / 100,
    ...(nonFatalStatuses !== undefined && { non_fatal_statuses: nonFatalStatuses }),
    ...(onPerTryTimeout === true && { on_per_try_timeout: true }),
  };
  return inMetadata({ hedge: own });
}
