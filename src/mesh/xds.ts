import type { EgressHolder } from '../client/egress.js';
import type { ConfigSource } from '../core/config-source.js';
import type { DnsOptions } from '../core/dns.js';
import { ConfigUnavailableError } from '../core/errors.js';
import { DEFAULT_PROVIDER } from '../core/identity.js';
import type { Meter } from '../core/meter.js';
import type { Locality } from '../core/model/endpoint.js';
import { VERSION } from '../core/version.js';
import type { Resource } from '../core/resources.js';
import {
  type Bootstrap,
  bootstrapFor,
  loadBootstrap,
  parseBootstrap,
  serverListenerName,
  targetListenerName,
} from '../xds/bootstrap/index.js';
import { grpcTransport } from '../xds/client/grpc-transport.js';
import { XdsClientPool } from '../xds/client/index.js';
import { LoadReporter } from '../xds/lrs/index.js';
import { decodersFor } from '../xds/resources/decoders.js';
import { watchServers } from '../xds/servers/index.js';
import type { CacheLease } from '../xds/resource-cache.js';
import { xdsConfigSource } from '../xds/source.js';
import type { MeshIdentity } from './identity.js';
import { outlives, watchSettings } from './settings.js';
import type { MeshSource } from './source.js';

export interface AdsSourceOptions {
  /** `host:port` of the control plane, or a gRPC bootstrap; undefined: as the bootstrap of the environment says. */
  readonly xds: string | Resource | undefined;
  /** This workload's own name, and where it runs if that is known: both are told to the control plane. */
  readonly self: { readonly service: string; readonly locality: Locality | undefined };
  /** The application, or the environment, says who this workload is: instance `default` is there, whatever the bootstrap has. */
  readonly hasIdentity: boolean;
  /** Told what our own control plane says to every client. */
  readonly egress: EgressHolder;
  /** The control plane that is named by its address alone certifies this workload: it is talked to under that identity, and not in clear. */
  readonly certified: boolean;
  readonly identity: Pick<MeshIdentity, 'want' | 'ready' | 'clientOf' | 'onChange' | 'refusal'>;
  readonly dns: DnsOptions;
  readonly meter: Meter;
}

/** Configuration from a control plane. Rejects when the bootstrap cannot be used, with a BootstrapError when the environment's cannot be read. */
export async function adsSource(options: AdsSourceOptions): Promise<MeshSource> {
  const { xds, self, hasIdentity, egress, dns, meter, certified, identity } = options;
  const { clock, random, logger } = dns;
  const { service } = self;
  const bootstrap = withLocality(
    await findBootstrap(xds, { service, version: VERSION, random }, certified),
    self.locality,
  );
  const secured = usesIdentity(bootstrap);
  // Before the first connection, which waits for it.
  if (secured) identity.want();
  // A control plane that is named by its address alone has a bootstrap of ours: its own CA is the instance that our configuration names.
  const ours = hasIdentity || typeof xds === 'string' ? [DEFAULT_PROVIDER] : [];
  const instances = [...bootstrap.certificateProviders.keys(), ...ours];
  const clients = new XdsClientPool({
    bootstrap,
    decoders: decodersFor({ certificateProviders: new Set(instances) }),
    clock,
    random,
    logger,
    meter,
    outlives: (listener) => outlives(egress, listener),
    transport: grpcTransport({ clock, random, logger, identityTls: identity.clientOf }),
  });
  const stopEgress = egress.onChange(() => clients.reconsiderDeleted());
  const stopIdentity = secured ? identity.onChange(() => clients.resetBackoff()) : undefined;
  const reporter = new LoadReporter({ connections: clients.connections, bootstrap, clock, random, logger });
  const cache = (target: string): CacheLease => clients.lease(target);
  // First on the stream: what comes after it comes to those who know it.
  const stopSettings = bootstrap.servers.some(({ features }) => features.settings === true)
    ? watchSettings(cache, egress, (settings) => egress.take(settings), logger)
    : undefined;
  const source = xdsConfigSource({
    cache,
    listenerName: (name, xdsAuthority) => targetListenerName(bootstrap, xdsAuthority, name),
    dns,
    logger,
    // Without the one there is never the other, and it is the one that can say what is the matter.
    ready: secured ? () => identity.ready().then(() => clients.ready()) : () => clients.ready(),
    loads: reporter.recorder,
    dump: () => clients.dump(),
    close: async () => {
      stopSettings?.();
      stopIdentity?.();
      stopEgress();
      await reporter.close();
      await clients.close();
    },
  });
  const watchServer = watchServers({
    cache,
    listenerName: (address) => serverListenerName(bootstrap, address),
    logger,
  });
  const { certificateProviders } = bootstrap;
  const watch = secured ? sayingWhoIsRefused(source, identity) : source.watch;
  return { ...source, watch, watchServer, certificateProviders, locality: localityOf(bootstrap) };
}

/** The control plane is not asked by who cannot prove who he is: then it is not the configuration that is the matter. */
const sayingWhoIsRefused =
  (source: ConfigSource, identity: Pick<MeshIdentity, 'refusal'>): ConfigSource['watch'] =>
  (authority, watcher) =>
    source.watch(authority, {
      changed: (config) => watcher.changed(config),
      failed: (error) => {
        const refusal = error instanceof ConfigUnavailableError ? identity.refusal : undefined;
        watcher.failed(refusal ?? error);
      },
      ambient: (error) => watcher.ambient(error),
      unknown: () => watcher.unknown(),
    });

function usesIdentity({ servers, authorities }: Bootstrap): boolean {
  const all = [servers, ...[...authorities.values()].map((authority) => authority.servers)].flat();
  return all.some(({ credentials }) => credentials.kind === 'identity');
}

/** What the application says of itself goes before what the bootstrap says. */
function withLocality(bootstrap: Bootstrap, locality: Locality | undefined): Bootstrap {
  if (locality === undefined) return bootstrap;
  const { region, zone, subZone } = locality;
  return { ...bootstrap, node: { ...bootstrap.node, locality: { region, zone, sub_zone: subZone } } };
}

function localityOf({ node }: Bootstrap): Locality | undefined {
  const locality = node['locality'];
  if (typeof locality !== 'object' || locality === null) return undefined;
  const part = (name: string): string => {
    const value = (locality as Readonly<Record<string, unknown>>)[name];
    return typeof value === 'string' ? value : '';
  };
  return { region: part('region'), zone: part('zone'), subZone: part('sub_zone') };
}

async function findBootstrap(
  xds: string | Resource | undefined,
  defaults: Parameters<typeof bootstrapFor>[1],
  certified: boolean,
): Promise<Bootstrap> {
  if (typeof xds === 'string')
    return bootstrapFor(xds, defaults, certified ? { kind: 'identity', serverId: undefined } : { kind: 'insecure' });
  if (xds !== undefined) return parseBootstrap(xds, defaults);
  const bootstrap = await loadBootstrap(process.env, defaults);
  if (bootstrap === undefined) throw new Error('neither GRPC_XDS_BOOTSTRAP nor GRPC_XDS_BOOTSTRAP_CONFIG is set');
  return bootstrap;
}
