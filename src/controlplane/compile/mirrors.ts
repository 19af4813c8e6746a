import type { Resource } from '../../core/resources.js';
import type { HttpFilter, RequestMirror } from '../yaml/schema/route.js';
import type { RoutePolicySpec } from '../yaml/schema/route-policy.js';
import type { Path } from '../yaml/problem.js';
import { headerMutations } from './header-formats.js';
import type { RouteDocument } from './parents.js';
import type { References } from './references.js';
import type { MeshPort } from './services.js';

export interface Mirror {
  readonly port: MeshPort;
  readonly share: Pick<RequestMirror, 'percent' | 'fraction'>;
}

/** The mirrors among filters; one that names nothing, or what it may not, is reported, and left out. */
export function mirrorsOf(
  route: RouteDocument,
  filters: readonly Partial<HttpFilter>[],
  at: Path,
  references: References,
): Mirror[] {
  return filters.flatMap(({ requestMirror }, index) => {
    if (requestMirror === undefined) return [];
    const { backendRef: ref, ...share } = requestMirror;
    const found = references.backend(route, [...at, index, 'requestMirror', 'backendRef'], ref);
    return found === undefined ? [] : [{ port: found.port, share }];
  });
}

/** `RouteAction.request_mirror_policies`; `look` is the same for all of the rule. */
export function mirrorPolicies(mirrors: readonly Mirror[], look: RoutePolicySpec['mirror']): Resource {
  if (mirrors.length === 0) return {};
  return {
    request_mirror_policies: mirrors.map(({ port, share }) => ({
      cluster: port.resourceName,
      ...runtimeFraction(share),
      ...(look?.hostSuffix === false && { disable_shadow_host_suffix_append: true }),
      ...(look?.hostRewrite !== undefined && { host_rewrite_literal: look.hostRewrite }),
      ...headerMutations(look?.requestHeaders),
    })),
  };
}

/** All requests when nothing is said. A numerator of 0 never travels. */
function runtimeFraction({ percent, fraction }: Mirror['share']): Resource {
  if (percent === undefined && fraction === undefined) return {};
  const share = fraction === undefined ? (percent ?? 0) / 100 : fraction.numerator / fraction.denominator;
  const numerator = Math.round(share * 1_000_000);
  return { runtime_fraction: { default_value: { ...(numerator > 0 && { numerator }), denominator: 'MILLION' } } };
}
