import { claimPath } from '../../core/claims.js';
import type { JwtFilters } from './authentication.js';
import type { Attachments, RouteDocument } from './parents.js';
import type { References } from './references.js';
import type { RequestPolicy } from './request-policies.js';
import type { MeshService } from './services.js';

/** Servers go by the claims of tokens that they have verified: without any, a rule that matches by claims is for nobody, and its policies hold for nobody. */
export function adviseClaims(
  policies: readonly RequestPolicy[],
  services: readonly MeshService[],
  attachments: Attachments,
  jwt: Pick<JwtFilters, 'asks'>,
  references: References,
): void {
  for (const policy of policies) {
    if (policy.kind !== 'AuthorizationPolicy' && policy.spec.side !== 'server') continue;
    policy.spec.targetRefs?.forEach(({ kind, name, sectionName }, index) => {
      if (kind === 'Service') return;
      const ofKind = kind === 'HTTPRoute' ? attachments.http : attachments.grpc;
      const isIt = (route: RouteDocument): boolean => route.namespace === policy.namespace && route.name === name;
      const servers = services.filter(({ ports }) => ports.some((port) => ofKind.get(port)?.some(isIt)));
      const route = servers[0]?.ports.flatMap((port): readonly RouteDocument[] => ofKind.get(port) ?? []).find(isIt);
      const rule = route === undefined ? -1 : ruleByClaims(route, sectionName);
      if (rule < 0 || servers.some((service) => jwt.asks(service))) return;
      const whose = servers.map((service) => `Service "${service.name}"`).join(', ');
      const message = `holds for nobody at spec.rules[${rule}] of ${kind} "${name}", which matches by claims, as servers of ${whose} verify no token: write an AuthenticationPolicy with jwt`;
      references.report(policy, ['spec', 'targetRefs', index], message, {
        expected: 'an AuthenticationPolicy with jwt',
      });
    });
  }
}

const ruleByClaims = ({ spec }: RouteDocument, sectionName: string | undefined): number =>
  spec.rules.findIndex(
    ({ name, matches }) =>
      (sectionName === undefined || name === sectionName) &&
      matches?.some(({ headers }) => headers?.some((header) => claimPath(header.name) !== undefined)),
  );
