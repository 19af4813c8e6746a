import type { DocumentOf } from '../yaml/document.js';

/** What refers to Services, perhaps of other namespaces. */
export type Referrer =
  | DocumentOf<'HTTPRoute'>
  | DocumentOf<'GRPCRoute'>
  | DocumentOf<'TrafficPolicy'>
  | DocumentOf<'RateLimitPolicy'>
  | DocumentOf<'ExternalAuthorizationPolicy'>;

const GROUPS: Readonly<Record<Referrer['kind'], string>> = {
  HTTPRoute: 'gateway.networking.k8s.io',
  GRPCRoute: 'gateway.networking.k8s.io',
  TrafficPolicy: 'inmesh.dev',
  RateLimitPolicy: 'inmesh.dev',
  ExternalAuthorizationPolicy: 'inmesh.dev',
};

/** No name of a Service. */
const EVERY = '*';

/** Which references from one namespace to another are permitted (Gateway API, ReferenceGrant): those within one always are. */
export class Grants {
  /** Names of Services, by the namespace that permits and by who may refer to them. */
  readonly #names = new Map<string, Set<string>>();

  constructor(grants: readonly DocumentOf<'ReferenceGrant'>[]) {
    for (const { namespace, spec } of grants) {
      const services = spec.to.filter(({ group, kind }) => group === '' && kind === 'Service');
      for (const from of spec.from) {
        const key = keyOf(namespace, from.group, from.kind, from.namespace);
        const names = this.#names.get(key) ?? new Set();
        this.#names.set(key, names);
        for (const { name = EVERY } of services) names.add(name);
      }
    }
  }

  permits(from: Referrer, namespace: string, service: string): boolean {
    if (from.namespace === namespace) return true;
    const names = this.#names.get(keyOf(namespace, GROUPS[from.kind], from.kind, from.namespace));
    return names !== undefined && (names.has(EVERY) || names.has(service));
  }
}

/** None of these has a slash in it. */
const keyOf = (namespace: string, group: string, kind: string, from: string): string =>
  `${namespace}/${group}/${kind}/${from}`;

/** The `spec` of the grant that a reference lacks, as YAML. */
export const lackingGrant = ({ kind, namespace }: Referrer, service: string): string =>
  `{ from: [{ group: ${GROUPS[kind]}, kind: ${kind}, namespace: ${namespace} }], to: [{ group: "", kind: Service, name: ${service} }] }`;
