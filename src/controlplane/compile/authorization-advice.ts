import { nearest } from '../../core/decode.js';
import type { DocumentOf } from '../yaml/document.js';
import type { Path } from '../yaml/problem.js';
import type { AuthorizationRuleSpec, SourceSpec } from '../yaml/schema/authorization-policy.js';
import type { JwtFilters } from './authentication.js';
import type { MtlsModes } from './mtls-modes.js';
import type { Attachments } from './parents.js';
import type { References } from './references.js';
import type { MeshService } from './services.js';

type Policy = DocumentOf<'AuthorizationPolicy'>;

/** What decides whether a rule can match at all. */
export interface AuthorizationSurroundings {
  readonly services: readonly MeshService[];
  readonly attachments: Attachments;
  readonly modes: MtlsModes;
  readonly traffic: ReadonlyMap<MeshService, DocumentOf<'TrafficPolicy'>>;
  readonly jwt: Pick<JwtFilters, 'asks'>;
  readonly trustDomain: string;
}

/** What AuthorizationPolicies say that is valid, and surely not as meant: callers that nobody is, rules that nothing can match, servers that nobody asks. */
export function adviseAuthorization(
  policies: readonly Policy[],
  around: AuthorizationSurroundings,
  references: References,
): void {
  for (const policy of policies) {
    adviseNames(policy, around, references);
    adviseTargets(policy, around, references);
    const servers = serversOf(policy, around);
    if (servers.length === 0) continue;
    const whose =
      policy.spec.targetRefs === undefined ? 'any Service' : servers.map(({ name }) => `Service "${name}"`).join(', ');
    policy.spec.rules.forEach((rule, index) => {
      const at: Path = ['spec', 'rules', index];
      if (needsCertificate(rule) && !servers.some((service) => seesCertificates(service, around)))
        references.report(
          policy,
          at,
          `goes by the certificates of callers, and nobody shows one to the servers of ${whose}, so that it never matches: give them "mtls: strict" or "permissive"`,
          { expected: 'mtls' },
        );
      if (needsToken(rule) && !servers.some((service) => around.jwt.asks(service)))
        references.report(
          policy,
          at,
          `goes by tokens, and none is verified by the servers of ${whose}, so that it never matches: write an AuthenticationPolicy with jwt`,
          { expected: 'an AuthenticationPolicy with jwt' },
        );
    });
  }
}

/** A Service that is a name elsewhere, whose servers know nothing of the mesh. */
const isOutside = ({ ports, hosts, document }: MeshService): boolean =>
  ports.every(({ dnsName }) => dnsName !== undefined) || (hosts !== undefined && document.spec.mtls === 'disabled');

function adviseTargets(policy: Policy, { services }: AuthorizationSurroundings, references: References): void {
  policy.spec.targetRefs?.forEach(({ kind, name }, index) => {
    const service = services.find((one) => one.namespace === policy.namespace && one.name === name);
    if (kind !== 'Service' || service === undefined || !isOutside(service)) return;
    const message = `has no effect: Service "${name}" is outside of the mesh, and its servers ask nobody`;
    references.report(policy, ['spec', 'targetRefs', index], message);
  });
}

/** Those whose servers see to a policy. */
function serversOf({ namespace, spec }: Policy, { services, attachments }: AuthorizationSurroundings): MeshService[] {
  const inside = services.filter((service) => !isOutside(service));
  if (spec.targetRefs === undefined) return inside;
  return inside.filter((service) =>
    spec.targetRefs?.some(({ kind, name }) => {
      if (kind === 'Service') return service.namespace === namespace && service.name === name;
      const of = kind === 'HTTPRoute' ? attachments.http : attachments.grpc;
      return service.ports.some((port) =>
        of.get(port)?.some((route) => route.namespace === namespace && route.name === name),
      );
    }),
  );
}

const seesCertificates = (service: MeshService, { modes, traffic }: AuthorizationSurroundings): boolean =>
  traffic.get(service)?.spec.tls?.mode === 'mutual' ||
  service.ports.some((port) => modes.of(service, port) !== 'disabled');

const needsCertificate = ({ from, when }: AuthorizationRuleSpec): boolean =>
  (from?.every(({ principals, namespaces }) => (principals ?? namespaces) !== undefined) ?? false) ||
  (when?.some(({ key, values }) => values !== undefined && /^source\.(principal|namespace)$/.test(key)) ?? false);

const needsToken = ({ from, when }: AuthorizationRuleSpec): boolean =>
  (from?.every(({ requestPrincipals }) => requestPrincipals !== undefined) ?? false) ||
  (when?.some(({ key, values }) => values !== undefined && key.startsWith('request.auth.')) ?? false);

/** `spiffe://<trust domain>/ns/<namespace>/sa/<name>`, with its scheme or without. */
const FULL = /^(?:spiffe:\/\/)?([^/*]+)\/ns\/([^/*]+)\/sa\/([^/*]+)$/;

/** A caller need not be a Service: one that is written out in full is told of only when it resembles one, as a typing mistake would. */
function adviseNames(policy: Policy, around: AuthorizationSurroundings, references: References): void {
  const { namespace } = policy;
  const inMesh = around.services.filter(({ hosts }) => hosts === undefined);
  const look = (value: string, at: Path): void => {
    const full = FULL.exec(value);
    if (full === null && /[/*]/.test(value)) return;
    const [, domain = around.trustDomain, where = namespace, name = value] = full ?? [];
    if (domain !== around.trustDomain) return;
    const names = inMesh.filter((service) => service.namespace === where).map((service) => service.name);
    if (names.includes(name)) return;
    const near = nearest(name, names);
    if (near === undefined && full !== null) return;
    const whose = where === 'default' ? '' : ` in namespace "${where}"`;
    const hint =
      near === undefined
        ? `a caller that is no Service is written out: "${domain}/ns/${where}/sa/${name}"`
        : `did you mean "${near}"?`;
    references.report(policy, at, `there is no Service "${name}"${whose}; ${hint}`, {
      expected: 'the name of a Service',
      ...(near !== undefined && { nearest: near }),
    });
  };
  for (const { values, at } of principalsOf(policy)) {
    values?.forEach((value, index) => {
      look(value, [...at, index]);
    });
  }
}

function principalsOf({ spec }: Policy): { readonly values: SourceSpec['principals']; readonly at: Path }[] {
  return spec.rules.flatMap(({ from = [], when = [] }, rule) => {
    const here: Path = ['spec', 'rules', rule];
    return [
      ...from.flatMap((source, index) =>
        (['principals', 'notPrincipals'] as const).map((field) => ({
          values: source[field],
          at: [...here, 'from', index, field],
        })),
      ),
      ...when.flatMap((condition, index) =>
        condition.key !== 'source.principal'
          ? []
          : (['values', 'notValues'] as const).map((field) => ({
              values: condition[field],
              at: [...here, 'when', index, field],
            })),
      ),
    ];
  });
}
