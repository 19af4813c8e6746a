import type { ChannelInterface, Client, Server as GrpcServer } from '@grpc/grpc-js';
import type { Dispatcher } from 'undici';
import { Destinations } from '../client/destinations.js';
import type { ClientEnv } from '../client/env.js';
import { MeshDispatcher } from '../client/fetch/dispatcher.js';
import { createFetch, type MeshFetch } from '../client/fetch/fetch.js';
import { MeshChannel, type MeshChannelEnv } from '../client/grpc/channel.js';
import { type GrpcClientConstructor, grpcClient, type MeshClientOptions } from '../client/grpc/client.js';
import type { HoldingSource } from '../client/holding-source.js';
import { LocalZones } from '../client/local-zones.js';
import type { PassthroughOptions } from '../client/passthrough.js';
import { ambientClaims, ambientPeer, type Claims } from '../core/ambient.js';
import { keepAlive } from '../core/clock.js';
import { Deadlines } from '../core/deadlines.js';
import { string } from '../core/decode.js';
import { IdentityError, MeshClosedError } from '../core/errors.js';
import type { PeerIdentity } from '../core/identity.js';
import type { Meter } from '../core/meter.js';
import type { ResourcesDump } from '../core/resources.js';
import type { Service } from '../core/service.js';
import type { TlsFactory } from '../core/tls.js';
import { VERSION } from '../core/version.js';
import { tlsFactory } from '../identity/tls/factory.js';
import type { Observability } from '../observability/observability.js';
import { UsageLedger } from '../resilience/quota/ledger.js';
import type { UsageSnapshot } from '../resilience/quota/snapshot.js';
import type { RedisOption } from '../resilience/ratelimit/redis/options.js';
import { usageWindows } from '../resilience/ratelimit/usage-window.js';
import type { ServerParts } from '../server/parts.js';
import type { SecuredServer, SecureOptions } from '../server/tls/secure-options.js';
import type { SecurableServer } from '../server/tls/secure.js';
import type { ServableServer, ServeOptions, Serving } from '../server/xds/index.js';
import type { JwtSvid } from '../identity/jwt-svid.js';
import type { JwtSvidRequest } from '../identity/workload-api/jwt-cache.js';
import { askingForDestinations, askingForServers } from './asked-identities.js';
import { dumpResources, dumpTargets, type MeshDump } from './dump.js';
import { Endings } from './endings.js';
import { HashLoader } from './hash-source.js';
import type { MeshIdentity, WorkloadIdentity } from './identity.js';
import { meshLimits } from './limits.js';
import { noConfig } from './no-config.js';
import { meshOutbound } from './outbound.js';
import { createScope, type Scope } from './scope.js';
import { keepingServices } from './server-clusters.js';
import { noMode, serversOf } from './servers.js';
import type { MeshSource } from './source.js';

/** What an application holds: every face of the mesh, on one pipeline. */
export interface Mesh extends Scope {
  /** `fetch` with the mesh's policies. Standard semantics; `init.mesh` takes `{ timeoutMs, idempotent, priority, retry, hedge, fallback, xdsAuthority }`. */
  readonly fetch: MeshFetch;
  /** For undici's own API, which takes `mesh` as well, and for the platform's fetch: `fetch(url, { dispatcher: mesh.dispatcher })`. */
  readonly dispatcher: Dispatcher;
  /** A typed client of a generated service: `mesh.grpc(ReviewsClient, 'reviews')`. `options.mesh` is for all its calls, `meshMetadata` for one. */
  grpc<C extends Client>(ClientClass: GrpcClientConstructor<C>, authority: string, options?: MeshClientOptions): C;
  /** The channel for `channelOverride` of any generated client. */
  channel(authority: string, options?: MeshClientOptions): ChannelInterface;
  /** The pipeline itself: what the faces put their calls into. */
  readonly service: Service;
  /** Where it writes down what it does; for what belongs to this process as well: `meshMiddleware({ mesh })`. */
  readonly meter: Meter;
  /** What it has for servers of this process: likewise. */
  readonly servers: ServerParts;
  /** Who this workload is to others: its certificate, while it has one. Undefined: it has none, or none yet. */
  identity(): WorkloadIdentity | undefined;
  /** This workload's identity as a token for an audience (SPIFFE JWT-SVID), from the Workload API; the same one until half of its life is over. */
  jwtSvid(request: JwtSvidRequest): Promise<JwtSvid>;
  /** Who makes the request that is being served, by the certificate of its connection. Undefined: there was none, or no request is being served here. */
  peer(): PeerIdentity | undefined;
  /** Claims of the token of the request that is being served, as the mesh has verified them (AuthenticationPolicy). Undefined: there was none. */
  claims(): Claims | undefined;
  /** Calls by service and version since the start; `now.since(before)` for a window. */
  stats(): ReturnType<Observability['stats']>;
  /** Who used how much of which plan, of what rules with `meter` let through here; `now.since(before)` for a span, JSON for export. */
  usage(): UsageSnapshot;
  /** All metrics as Prometheus or OpenMetrics text. */
  prometheus: Observability['prometheus'];
  /** All metrics for an OpenTelemetry SDK's metric reader. */
  metricProducer: Observability['metricProducer'];
  /**
   * Puts a server under configuration from the control plane (gRFC A36): node:http's, node:http2's, or an `XdsServer` of `inmesh/grpc`. Resolves when
   * it is watched; `serving.ready()` tells when it serves.
   */
  serve(server: ServableServer, options: ServeOptions): Promise<Serving>;
  /**
   * Puts mutual TLS in front of a server that the application listens with: of node:http, node:https or node:http2, with whatever framework on top. Strict, permissive
   * or disabled, as the configuration says for the service; `mode` wins over it, and must be said where nothing is configured. Resolves when connections are taken so: await it before the server listens.
   * A Server of grpc-js is not bound; the mesh listens in its place: `mesh.secure(server, { address: '0.0.0.0:50051' })`.
   */
  secure(server: SecurableServer | GrpcServer, options?: SecureOptions): Promise<SecuredServer>;
  /** What is known and used now, for people: targets with their routes, clusters, endpoints and their load, and the resources behind them. */
  configDump(): Promise<MeshDump>;
  /** The resources behind the configuration as they came; for CSDS (`csds` of `inmesh/grpc`, gRFC A40). */
  resources(): readonly ResourcesDump[];
  /**
   * Resolves when the first configuration is there; rejects when there can be none. With authorities, as calls name them (`reviews`, `reviews:9090`,
   * `xds://authority/name`), also: when each has its configuration, and the connections that it wants ahead of calls (`warmConnections`) are open. An
   * endpoint that cannot be reached holds nobody up; an authority that cannot be called rejects, after 15 s when nothing is heard of it.
   */
  ready(...authorities: readonly string[]): Promise<void>;
  /** Ends every connection, timer and file handle; calls under way fail with MESH_CLOSED. Idempotent. */
  close(): Promise<void>;
}

/** What a mesh is made of; `meshClient` chooses the parts, tests give their own. */
export interface MeshParts {
  readonly source: MeshSource;
  readonly unknownHosts: PassthroughOptions;
  /** This service as others call it; undefined: nobody knows. */
  readonly localCluster?: string | undefined;
  /** The Redis servers that limits name. */
  readonly redis?: Readonly<Record<string, RedisOption>> | undefined;
  readonly env: Omit<ClientEnv, 'deadlines' | 'meter' | 'tracer' | 'loads' | 'hash64' | 'limits' | 'tls'> & {
    /** Absent: TLS with the system's roots only. */
    readonly tls?: ClientEnv['tls'] | undefined;
  };
  readonly observability: Observability;
  /** Where certificates come from; undefined: there are none, and TLS is that of servers with certificates that the system trusts. */
  readonly identity?: MeshIdentity | undefined;
}

/** Wires the parts into a mesh. */
export function createMesh(given: MeshParts): Mesh {
  const { source, unknownHosts, localCluster, redis, env: parts, observability, identity } = given;
  const deadlines = new Deadlines(parts.clock);
  const hash = new HashLoader(parts.logger);
  const localZones = localCluster === undefined ? undefined : new LocalZones(source, localCluster);
  const ledger = new UsageLedger({ clock: parts.clock, meter: observability.meter, window: usageWindows() });
  const limits = meshLimits({
    ...parts,
    meter: observability.meter,
    source: parts.source,
    service: localCluster,
    redis,
    uses: ledger,
    pipeline: (call) => destinations.beside(call),
  });
  // That of an identity is closed with it; what needs no certificate watches nothing.
  const tls: TlsFactory = parts.tls ?? identity?.tls ?? tlsFactory(parts);
  const env: ClientEnv = {
    ...parts,
    limits,
    tls,
    localZones: localZones && (() => localZones.counts()),
    deadlines,
    meter: observability.meter,
    tracer: observability.tracer,
    // The source may still be loading; it is there when the first cluster is.
    get loads() {
      return source.loads;
    },
    get hash64() {
      return hash.hash64;
    },
    get locality() {
      return parts.locality ?? source.locality;
    },
  };
  const { clock, random, logger } = parts;
  const ask = (instance: string): void => identity?.want(instance);
  const watch = keepingServices(askingForServers(serversOf(source), ask), (cluster) => destinations.keep(cluster));
  const endings = new Endings();
  const servers: ServerParts = {
    service: localCluster,
    watch,
    limits,
    tls: env.tls,
    clock,
    random,
    logger,
    outbound: meshOutbound(
      (call) => destinations.service(call),
      (call) => destinations.beside(call),
    ),
    to: (address) => destinations.to(address),
    onClose: endings.add,
  };
  const servings = new Set<Serving>();
  const watched: HoldingSource = {
    watch: askingForDestinations(hash.watch(source), ask),
    ...(source.watchCluster !== undefined && {
      watchCluster: hash.watch({ watch: (cluster, watcher) => source.watchCluster?.(cluster, watcher) ?? (() => {}) }),
    }),
    holdCluster: (authority, cluster) => source.holdCluster?.(authority, cluster),
  };
  const destinations = new Destinations(watched, env, unknownHosts);
  const { service } = destinations;
  let dispatcher: Dispatcher | undefined;
  let closing: Promise<void> | undefined;
  let ready: Promise<void> | undefined;
  const channelEnv = (): MeshChannelEnv => {
    ready ??= source.ready();
    // Told by the channel's connectivity state; whoever wants the reason asks mesh.ready().
    ready.catch(() => {});
    return { clock: env.clock, ready, version: VERSION };
  };
  const resources = (): readonly ResourcesDump[] => source.dump?.() ?? [];
  const close = async (): Promise<void> => {
    endings.close();
    await Promise.all([...servings].map((serving) => serving.close({ graceMs: 0 })));
    await destinations.close();
    await limits.stores.close();
    localZones?.close();
    await identity?.close();
    await source.close();
    deadlines.close();
    await observability.close();
  };
  const readyFor = async (authorities: readonly string[]): Promise<void> => {
    for (const [i, authority] of authorities.entries()) string(authority, `mesh.ready(authorities[${i}])`);
    await source.ready();
    await identity?.readyAll();
    await Promise.all(authorities.map((authority) => destinations.ready(authority)));
    // Their configuration may be the first that names one.
    await identity?.readyAll();
    if (closing !== undefined) throw new MeshClosedError();
  };
  return {
    fetch: createFetch(service),
    get dispatcher() {
      dispatcher ??= new MeshDispatcher(service);
      return dispatcher;
    },
    grpc: (ClientClass, authority, options) => grpcClient(service, ClientClass, authority, channelEnv(), options),
    channel: (authority, options) => new MeshChannel(service, authority, { ...channelEnv(), options }),
    service,
    ...createScope(env),
    meter: observability.meter,
    servers,
    identity: () => identity?.own(),
    jwtSvid: (request) => identity?.jwtSvid(request) ?? Promise.reject(new IdentityError('this mesh has no identity')),
    peer: ambientPeer,
    claims: ambientClaims,
    stats: () => observability.stats(),
    usage: () => ledger.snapshot(),
    prometheus: (format) => observability.prometheus(format),
    metricProducer: () => observability.metricProducer(),
    serve: async (server, options) => {
      if (closing !== undefined) throw new MeshClosedError();
      const { serveXds } = await import('../server/xds/index.js');
      const serving = serveXds(server, options, { ...env, watch: servers.watch, outbound: servers.outbound });
      servings.add(serving);
      return serving;
    },
    secure: async (server, options = {}) => {
      if (closing !== undefined) throw new MeshClosedError();
      if (source === noConfig && options.mode === undefined) throw noMode(options.service ?? localCluster);
      const { secureAny } = await import('../server/tls/secure.js');
      return secureAny(server, options, servers, observability.meter);
    },
    configDump: async () => ({
      identity: identity?.own(),
      ...dumpTargets(destinations, env.clock.now()),
      resources: await dumpResources(resources(), env.clock),
    }),
    resources,
    ready: (...authorities) =>
      closing === undefined ? keepAlive(env.clock, readyFor(authorities)) : Promise.reject(new MeshClosedError()),
    close: () => {
      closing ??= close();
      return closing;
    },
  };
}
