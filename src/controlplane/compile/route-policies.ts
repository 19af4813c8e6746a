import { nearest } from '../../core/decode.js';
import type { Resource } from '../../core/resources.js';
import type { DocumentOf } from '../yaml/document.js';
import type { RoutePolicySpec } from '../yaml/schema/route-policy.js';
import type { RouteDocument } from './parents.js';
import { struct } from './proto.js';
import type { References } from './references.js';

/** The policy of each rule that has one, by route and place. */
export type RoutePolicies = ReadonlyMap<RouteDocument, ReadonlyMap<number, RoutePolicySpec>>;

/** Finds the rules that policies are for; one that names a rule comes before one for the whole route. */
export function resolveRoutePolicies(
  policies: readonly DocumentOf<'RoutePolicy'>[],
  routes: readonly RouteDocument[],
  references: References,
): RoutePolicies {
  const found = new Map<RouteDocument, Map<number, RoutePolicySpec>>();
  const taken = new Map<string, string>();
  const wholes: (() => void)[] = [];
  for (const policy of policies) {
    policy.spec.targetRefs.forEach(({ kind, name, sectionName }, index) => {
      const at = ['spec', 'targetRefs', index];
      const route = routeNamed(policy, [...at, 'name'], kind, name, routes, references);
      if (route === undefined) return;
      const target = `${kind}/${route.namespace}/${name}/${sectionName ?? ''}`;
      const other = taken.get(target);
      if (other !== undefined) {
        references.report(policy, at, `these rules already have RoutePolicy "${other}": put both into one`);
        return;
      }
      taken.set(target, policy.name);
      const rules = found.get(route) ?? new Map<number, RoutePolicySpec>();
      found.set(route, rules);
      if (sectionName === undefined) {
        wholes.push(() => route.spec.rules.forEach((_, rule) => rules.set(rule, rules.get(rule) ?? policy.spec)));
        return;
      }
      const rule = route.spec.rules.findIndex((candidate) => candidate.name === sectionName);
      if (rule >= 0) rules.set(rule, policy.spec);
      else {
        const names = route.spec.rules.flatMap((candidate) => candidate.name ?? []).join(', ') || 'none';
        references.report(
          policy,
          [...at, 'sectionName'],
          `${kind} "${name}" has no rule named "${sectionName}"; its names: ${names}`,
        );
      }
    });
  }
  for (const fill of wholes) fill();
  return found;
}

function routeNamed(
  policy: DocumentOf<'RoutePolicy'>,
  path: readonly (string | number)[],
  kind: RouteDocument['kind'],
  name: string,
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
