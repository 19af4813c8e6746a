import {
  CLUSTER,
  ENDPOINT,
  LISTENER,
  MESH_INBOUND,
  type Resource,
  type ResourceSet,
  ROUTE,
  SETTINGS_LISTENER,
} from '../../core/resources.js';
import { DEFAULT_TRUST_DOMAIN } from '../../core/identity.js';
import type { EgressConfig } from '../../core/model/egress.js';
import { type Document, type DocumentOf, type Kind, resourceLabel } from '../yaml/document.js';
import { type Problem, Problems, sortProblems } from '../yaml/problem.js';
import type { SalvagedDocument } from '../yaml/read.js';
import type { MeshConfigSpec } from '../yaml/schema/mesh-config.js';
import { advise } from './advice.js';
import { backendTlsByPort } from './backend-tls.js';
import { AuthorizationFilters } from './authorization.js';
import { adviseAuthorization } from './authorization-advice.js';
import { resolveBackends } from './backends.js';
import { adviseCallersTls, callersTls, checkCallersTls } from './callers-tls.js';
import { candidatesOf } from './candidates.js';
import { adviseClaims } from './claims-advice.js';
import { cluster, discoveryType } from './cluster.js';
import { loadAssignment } from './endpoints.js';
import { egressConfig } from './egress.js';
import { resolveFallbacks } from './fallbacks.js';
import { Grants } from './grants.js';
import { listenerFilters } from './http-filters.js';
import { JwtFilters } from './authentication.js';
import { ExternalAuthorization } from './external-authorization.js';
import { inboundListener, inboundRoutes, meshInbound } from './inbound.js';
import { apiListener } from './listener.js';
import { checkEntries, entryServices } from './service-entries.js';
import { MtlsModes } from './mtls-modes.js';
import { listenerNames, shortNames } from './names.js';
import { attach } from './parents.js';
import { compareText } from './precedence.js';
import { References, type Unreadable } from './references.js';
import { RequestFilters } from './request-filters.js';
import { resolveRoutePolicies } from './route-policies.js';
import { routesOf } from './routes.js';
import { checkSalvaged } from './salvaged.js';
import { type MeshPort, meshService } from './services.js';
import { settingsListener } from './settings-listener.js';
import { fitsService } from './slices.js';
import { effectivePolicies, policiesByService } from './traffic-policies.js';

export interface CompileResult {
  /** Empty when there are problems. */
  readonly resources: ResourceSet;
  readonly config: MeshSettings;
  /** Every mistake, in the order of the files. Not empty: nothing of this may be used. */
  readonly problems: readonly Problem[];
  /** What works, but surely not as meant: `advise`; backends without a ReferenceGrant; those that are not there, when `danglingBackends` lets them pass. */
  readonly warnings: readonly Problem[];
}

/** What concerns the whole mesh and has no xDS resource. */
export interface MeshSettings {
  /** Undefined: no MeshConfig says. */
  readonly unknownHosts: MeshConfigSpec['unknownHosts'] | undefined;
  /** SPIFFE trust domain of the mesh's workloads. */
  readonly trustDomain: string;
  /** Some Service has mTLS, or is called with it: workloads need an identity. */
  readonly mtls: boolean;
  /** Where it may be left for. Undefined: everywhere. */
  readonly egress?: EgressConfig | undefined;
}

export interface CompileOptions {
  /**
   * A backendRef that names no Service or port: `refuse` the configuration, or as the Gateway API has it accept the route and
   * `answer-500` (UNAVAILABLE in a GRPCRoute) for the backend's share. The second is for sources that are not written as one,
   * where the Service may come later. Default `refuse`.
   */
  readonly danglingBackends?: 'refuse' | 'answer-500';
  /** References to these are not reported as missing. Default: none. */
  readonly unreadable?: Unreadable;
  /** Resources with mistakes, whose references are looked at; that they are wrong is told already. Default: none. */
  readonly salvaged?: readonly SalvagedDocument[];
  /** Why a file that servers would read keys of tokens from cannot be read here; undefined: it can. Default: nobody looks, as it is a file of theirs. */
  readonly keyFileFault?: (path: string) => string | undefined;
}

/**
 * Turns documents into the xDS resources of the whole mesh. Pure, and deterministic: the same documents in whatever order of files
 * make the same resources in the same order, so that versions can be hashes of content.
 */
export function compile(documents: readonly Document[], options: CompileOptions = {}): CompileResult {
  const problems = new Problems();
  const warnings = new Problems();
  const distinct = withoutDuplicates(documents, problems);
  const of = <K extends Kind>(kind: K): DocumentOf<K>[] =>
    distinct.filter((document) => document.kind === kind).sort(byName) as unknown as DocumentOf<K>[];

  const endpointSlices = of('EndpointSlice');
  const slices = slicesByService(endpointSlices);
  const entries = of('ServiceEntry');
  const services = [
    ...of('Service').map((document) =>
      meshService(document, slices.get(`${document.namespace}/${document.name}`) ?? []),
    ),
    ...entryServices(entries),
  ];
  const grants = new Grants(of('ReferenceGrant'));
  const unreadable = options.unreadable ?? new Set();
  const registered = new Set(entries.map(({ namespace, name }) => `${namespace}/${name}`));
  const references = new References({ services, grants, unreadable, registered, warnings }, problems);
  const ownPolicies = policiesByService(of('TrafficPolicy'), references);
  const otherPolicies = policiesByService(of('XBackendTrafficPolicy'), references);
  const policies = effectivePolicies(ownPolicies, otherPolicies, references);
  const httpRoutes = of('HTTPRoute');
  const grpcRoutes = of('GRPCRoute');
  const attachments = attach(httpRoutes, grpcRoutes, references);
  const dangling = options.danglingBackends === 'answer-500' ? references.into(warnings) : references;
  checkSlices(endpointSlices, dangling);
  checkEntries(entries, services, references);
  const backends = resolveBackends([...httpRoutes, ...grpcRoutes], dangling, policies);
  const allRoutes = [...httpRoutes, ...grpcRoutes];
  const routePolicies = resolveRoutePolicies(of('RoutePolicy'), allRoutes, backends, references);
  const limits = [...of('RateLimitPolicy'), ...of('QuotaPolicy')];
  const filters = new RequestFilters({ limits, faults: of('FaultPolicy'), routes: allRoutes }, references, dangling);
  const fallbacks = resolveFallbacks(ownPolicies, dangling);
  if (options.salvaged !== undefined) checkSalvaged(options.salvaged, distinct, references, problems);
  const owners = shortNames(services);
  const configs = of('MeshConfig');
  const modes = new MtlsModes(configs[0], services, of('AuthenticationPolicy'), references);
  const trustDomain = configs[0]?.spec.trustDomain ?? DEFAULT_TRUST_DOMAIN;
  const authorization = new AuthorizationFilters(
    of('AuthorizationPolicy'),
    allRoutes,
    { authorization: configs[0]?.spec.authorization, trustDomain },
    references,
  );
  const guards = {
    jwt: new JwtFilters(of('AuthenticationPolicy'), references),
    external: new ExternalAuthorization(of('ExternalAuthorizationPolicy'), references, dangling),
  };
  const tls = {
    modes,
    trustDomain,
    traffic: ownPolicies,
    backend: backendTlsByPort(of('BackendTLSPolicy'), references),
  };
  checkCallersTls(services, tls, references);

  const clusters = new Map<string, Resource>();
  const endpoints = new Map<string, Resource>();
  const listeners = new Map<string, Resource>();
  const routes = new Map<string, Resource>();
  const tables = new Map<MeshPort, readonly Resource[]>();
  const forAll = meshInbound({ authorization, ...guards }, modes.mesh);
  let mtls = false;
  for (const service of services) {
    for (const port of service.ports) {
      const name = port.resourceName;
      const policy = policies.get(service)?.spec;
      const mode = modes.of(service, port);
      const callers = callersTls(service, port, tls);
      mtls ||= mode !== 'disabled' || callers?.mutual === true;
      clusters.set(name, cluster(port, policy, fallbacks.get(service), callers));
      if (discoveryType(port) === 'EDS') endpoints.set(name, loadAssignment(port, policy?.loadBalancer));
      const candidates = candidatesOf(port, attachments, routePolicies);
      const table = routesOf({ service, port }, candidates, { backends, policy, routePolicies, filters });
      tables.set(port, table);
      routes.set(name, { name, virtual_hosts: [{ name, domains: ['*'], routes: table }] });
      const httpFilters = listenerFilters(table);
      const forms = listenerNames(service, port, owners.has(service));
      for (const form of forms) listeners.set(form, apiListener(form, name, httpFilters));
      const inbound = inboundRoutes(
        service,
        candidates,
        routePolicies,
        filters,
        { authorization, ...guards },
        mode !== 'disabled' || forAll !== undefined,
      );
      if (inbound === undefined) continue;
      for (const form of forms) {
        const listener = inboundListener(form, port, inbound, mode);
        listeners.set(String(listener['name']), listener);
      }
    }
  }
  const egress = egressConfig(configs[0]?.spec.egress, entries, services);
  const settings = { ...meshSettings(configs, references), trustDomain, mtls, egress };
  if (problems.list.length > 0) return refused(problems.list, settings);
  const forClients = settingsListener(settings);
  if (forClients !== undefined) listeners.set(SETTINGS_LISTENER, forClients);
  if (forAll !== undefined) listeners.set(MESH_INBOUND, forAll);
  advise(ownPolicies, attachments, tables, of('RoutePolicy'), references.into(warnings));
  filters.advise(references.into(warnings));
  guards.jwt.advise(references.into(warnings), options.keyFileFault);
  const requestPolicies = [...limits, ...of('FaultPolicy'), ...of('AuthorizationPolicy')];
  adviseClaims(requestPolicies, services, attachments, guards.jwt, references.into(warnings));
  adviseAuthorization(
    of('AuthorizationPolicy'),
    { services, attachments, modes, traffic: ownPolicies, jwt: guards.jwt, trustDomain },
    references.into(warnings),
  );
  adviseCallersTls(services, tls, references.into(warnings));
  return {
    resources: { [CLUSTER]: clusters, [ENDPOINT]: endpoints, [LISTENER]: listeners, [ROUTE]: routes },
    config: settings,
    problems: [],
    warnings: sortProblems(warnings.list),
  };
}

/** The result of documents that cannot be used. */
export function refused(
  problems: readonly Problem[],
  config: MeshSettings = { unknownHosts: undefined, trustDomain: DEFAULT_TRUST_DOMAIN, mtls: false },
): CompileResult {
  const none: ReadonlyMap<string, Resource> = new Map();
  const resources = { [CLUSTER]: none, [ENDPOINT]: none, [LISTENER]: none, [ROUTE]: none };
  return { resources, config, problems: sortProblems(problems), warnings: [] };
}

const byName = (a: Document, b: Document): number =>
  compareText(a.namespace, b.namespace) || compareText(a.name, b.name);

function withoutDuplicates(documents: readonly Document[], problems: Problems): Document[] {
  const first = new Map<string, Document>();
  for (const document of documents) {
    const key = `${document.kind}/${document.namespace}/${document.name}`;
    const known = first.get(key);
    if (known === undefined) {
      first.set(key, document);
      continue;
    }
    const before = known.locate([]);
    problems.add({
      ...document.locate(['metadata', 'name']),
      resource: resourceLabel(document.kind, document.namespace, document.name),
      path: 'metadata.name',
      message: `is there twice; the first is at ${before.file}:${before.line}: rename or remove one`,
    });
  }
  return [...first.values()];
}

const SERVICE_LABEL = 'kubernetes.io/service-name';

/** By `namespace/name` of the Service. */
function slicesByService(slices: readonly DocumentOf<'EndpointSlice'>[]): Map<string, DocumentOf<'EndpointSlice'>[]> {
  const found = new Map<string, DocumentOf<'EndpointSlice'>[]>();
  for (const slice of slices) {
    const key = `${slice.namespace}/${slice.labels[SERVICE_LABEL]}`;
    const others = found.get(key);
    if (others === undefined) found.set(key, [slice]);
    else others.push(slice);
  }
  return found;
}

/** A slice that belongs to no Service, or to none of its ports, is of no use and surely not as meant. */
function checkSlices(slices: readonly DocumentOf<'EndpointSlice'>[], references: References): void {
  for (const slice of slices) {
    const name = slice.labels[SERVICE_LABEL];
    const at = ['metadata', 'labels', SERVICE_LABEL];
    if (name === undefined) {
      references.report(slice, at, 'is missing: it names the Service of the endpoints');
      continue;
    }
    const service = references.service(slice, at, slice.namespace, name);
    if (service === undefined || fitsService(slice, service.document)) continue;
    const names = service.ports.map((port) => `"${port.name ?? ''}"`).join(', ');
    references.report(slice, ['ports'], `none is for a port of Service "${name}", which are joined by name: ${names}`);
  }
}

function meshSettings(
  configs: readonly DocumentOf<'MeshConfig'>[],
  references: References,
): Pick<MeshSettings, 'unknownHosts'> {
  const [first, ...others] = configs;
  for (const other of others)
    references.report(other, ['metadata', 'name'], `there is a MeshConfig already, "${first?.name}": keep one`);
  return { unknownHosts: first?.spec.unknownHosts };
}
