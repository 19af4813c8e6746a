import type { ConfigSource } from '../core/config-source.js';
import type { DnsOptions } from '../core/dns.js';
import type { Meter } from '../core/meter.js';
import { VERSION } from '../core/version.js';
import { type Bootstrap, bootstrapFor, listenerName, loadBootstrap } from '../xds/bootstrap/index.js';
import { XdsClient } from '../xds/client/index.js';
import { decodersFor } from '../xds/resources/decoders.js';
import { xdsConfigSource } from '../xds/source.js';

export interface AdsSourceOptions {
  /** `host:port` of the control plane; undefined: as the bootstrap of the environment says. */
  readonly server: string | undefined;
  /** This workload's own name. */
  readonly service: string;
  readonly dns: DnsOptions;
  readonly meter: Meter;
}

/** Configuration from a control plane. Rejects with a BootstrapError when the environment's bootstrap cannot be used. */
export async function adsSource({ server, service, dns, meter }: AdsSourceOptions): Promise<ConfigSource> {
  const { clock, random, logger } = dns;
  const bootstrap = await findBootstrap(server, { service, version: VERSION, random });
  const { listenerTemplate } = bootstrap;
  const client = new XdsClient({
    bootstrap,
    decoders: decodersFor({ certificateProviders: new Set(bootstrap.certificateProviders.keys()) }),
    scope: '#client',
    clock,
    random,
    logger,
    meter,
  });
  return xdsConfigSource({
    cache: client,
    listenerName: (authority) => listenerName(listenerTemplate, authority),
    dns,
    logger,
    ready: () => client.ready(),
    close: () => client.close(),
  });
}

async function findBootstrap(
  server: string | undefined,
  defaults: Parameters<typeof bootstrapFor>[1],
): Promise<Bootstrap> {
  if (server !== undefined) return bootstrapFor(server, defaults);
  const bootstrap = await loadBootstrap(process.env, defaults);
  if (bootstrap === undefined) throw new Error('neither GRPC_XDS_BOOTSTRAP nor GRPC_XDS_BOOTSTRAP_CONFIG is set');
  return bootstrap;
}
