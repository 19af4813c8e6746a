import type { Resource } from '../../core/resources.js';
import { balancerKind } from '../yaml/balancer-kind.js';
import type { DocumentOf } from '../yaml/document.js';
import { isNamed } from './localities.js';
import type { Attachments } from './parents.js';
import type { References } from './references.js';
import { nameOf } from './routes.js';
import type { MeshPort, MeshService } from './services.js';

/** What is valid and surely not as meant, told as warnings. */
export function advise(
  policies: ReadonlyMap<MeshService, DocumentOf<'TrafficPolicy'>>,
  attachments: Attachments,
  tables: ReadonlyMap<MeshPort, readonly Resource[]>,
  routePolicies: readonly DocumentOf<'RoutePolicy'>[],
  references: References,
): void {
  for (const policy of routePolicies) adviseHedge(policy, references);
  const all = [...tables.values()].flat();
  for (const [service, policy] of policies) {
    adviseFailover(service, policy, references);
    adviseHash(service, policy, all, references);
  }
  for (const [port, table] of tables) adviseDuplicates(port, table, attachments, references);
}

function adviseFailover(service: MeshService, policy: DocumentOf<'TrafficPolicy'>, references: References): void {
  if (service.ports.some(({ dnsName }) => dnsName !== undefined)) return;
  const endpoints = service.ports.flatMap((port) => port.endpoints);
  policy.spec.loadBalancer?.localityLbSetting?.failoverOrder?.forEach((name, index) => {
    if (endpoints.some(({ locality }) => isNamed(locality, name))) return;
    const at = ['spec', 'loadBalancer', 'localityLbSetting', 'failoverOrder', index];
    references.report(policy, at, `no endpoint of Service "${service.name}" is in "${name}", so it changes nothing`);
  });
}

interface RouteView {
  readonly name: string;
  readonly match: { readonly runtime_fraction?: unknown };
  readonly route?: {
    readonly cluster?: string;
    readonly weighted_clusters?: { readonly clusters: readonly { readonly name: string }[] };
    readonly hash_policy?: unknown;
  };
}

function adviseHash(
  service: MeshService,
  policy: DocumentOf<'TrafficPolicy'>,
  routes: readonly Resource[],
  references: References,
): void {
  const kind = balancerKind(policy.spec.loadBalancer);
  if (kind !== 'RING_HASH' && kind !== 'MAGLEV') return;
  const own = new Set(service.ports.map(({ resourceName }) => resourceName));
  const here = (routes as unknown as readonly RouteView[]).filter(
    ({ route }) =>
      own.has(route?.cluster ?? '') || route?.weighted_clusters?.clusters.some(({ name }) => own.has(name)) === true,
  );
  if (here.length === 0 || here.some(({ route }) => route?.hash_policy !== undefined)) return;
  const message = `${kind} has nothing to hash on any route to Service "${service.name}", so calls go anywhere: say what in consistentHash, here or in a RoutePolicy`;
  references.report(policy, ['spec', 'loadBalancer'], message);
}

/** Below this in percent extra load is of no use, and what stands there a share. */
const LEAST_EXTRA_PERCENT = 0.5;

function adviseHedge(policy: DocumentOf<'RoutePolicy'>, references: References): void {
  const percent = policy.spec.hedge?.maxExtraPercent;
  if (percent === undefined || percent >= LEAST_EXTRA_PERCENT) return;
  const meant = Number((percent * 100).toPrecision(12));
  const message = `is in percent, so that hardly any call is hedged: ${meant} for ${meant} %, got ${percent}`;
  references.report(policy, ['spec', 'hedge', 'maxExtraPercent'], message, { expected: 'percent' });
}

/** The first of equal matches takes all calls, unless it is for a share of them. */
function adviseDuplicates(
  port: MeshPort,
  table: readonly Resource[],
  attachments: Attachments,
  references: References,
): void {
  const attached = [...(attachments.grpc.get(port) ?? []), ...(attachments.http.get(port) ?? [])];
  const rules = new Map(
    attached.flatMap((route) => route.spec.rules.map((_, rule) => [nameOf(route, rule), { route, rule }] as const)),
  );
  const first = new Map<string, string>();
  const told = new Set<string>();
  for (const { name, match } of table as unknown as readonly RouteView[]) {
    if (match.runtime_fraction !== undefined) continue;
    const key = JSON.stringify(match);
    const before = first.get(key);
    const found = rules.get(name);
    if (before === undefined) first.set(key, name);
    else if (before !== name && found !== undefined && !told.has(name)) {
      told.add(name);
      const message = `matches the same as "${before}", which comes before it and takes the calls: change or remove one`;
      references.report(found.route, ['spec', 'rules', found.rule], message);
    }
  }
}
