import { existsSync } from 'node:fs';
import { basename } from 'node:path';
import { systemClock } from '../core/clock.js';
import { systemResolver } from '../core/dns.js';
import { jsonLogger, type Logger } from '../core/log.js';
import { systemRandom } from '../core/random.js';
import { createObservability } from '../observability/observability.js';
import type { EmbeddedOptions } from './embedded.js';
import { LateSource } from './late-source.js';
import { createMesh, type Mesh } from './mesh.js';
import { noConfig } from './no-config.js';
import { checkOptions, type MeshOptions, parseLocality } from './options.js';
import type { MeshSource } from './source.js';
import { suppressing, transports } from './transports.js';
import type { AdsSourceOptions } from './xds.js';

/** Looked for in the working directory when nothing else is configured. */
const DEFAULT_CONFIG = 'mesh.yaml';

/**
 * The mesh of this process. Returns at once: calls wait for the first configuration within their own deadline, and `ready()` tells when it is there.
 *
 * Where configuration comes from, in this order: `services`, `config` or `xds`; a gRPC xDS bootstrap (GRPC_XDS_BOOTSTRAP, GRPC_XDS_BOOTSTRAP_CONFIG;
 * gRFC A27); `./mesh.yaml`; else there is none, and hosts are found by DNS with the default policies. Throws DecodeError when the options cannot be meant.
 */
export function meshClient(options: MeshOptions = {}): Mesh {
  const { clock = systemClock, random = systemRandom, resolve = systemResolver, ...o } = checkOptions(options);
  const logger = o.logger ?? defaultLogger();
  const named = o.service ?? process.env['INMESH_SERVICE'];
  const service = named ?? basename(process.argv[1] ?? 'node');
  const observability = createObservability({
    service,
    clock,
    random,
    logger,
    ...(o.tracing === undefined ? {} : { tracing: o.tracing }),
    ...(o.newTraces === undefined ? {} : { newTraces: o.newTraces }),
    ...(o.accessLog === undefined ? {} : { accessLog: o.accessLog }),
  });
  const locality =
    o.locality === undefined
      ? parseLocality(process.env['INMESH_LOCALITY'])
      : { region: '', zone: '', subZone: '', ...o.locality };
  const { meter } = observability;
  const dns = { resolve, clock, random, logger };
  let unknownHosts: 'passthrough' | 'deny' | undefined;
  const embedded: EmbeddedOptions = {
    clock,
    logger,
    meter,
    dns,
    onSettings: (settings) => {
      unknownHosts = settings.unknownHosts;
    },
  };
  return createMesh({
    source: chooseSource(o, embedded, { service, locality }),
    unknownHosts: { policy: () => o.unknownHosts ?? unknownHosts ?? 'passthrough', resolve },
    localCluster: o.localCluster ?? named,
    redis: o.redis,
    env: {
      clock,
      random,
      logger,
      locality,
      peer: o.peer,
      reserveMs: o.reserveMs,
      fallbacks: o.fallbacks,
      source: o.labels === undefined ? undefined : { labels: o.labels, principal: undefined },
      transports: suppressing(transports, observability.suppressDoubleSpans),
    },
    observability,
  });
}

/** What this workload knows of itself. */
type WhoAmI = AdsSourceOptions['self'];

/** What serves a feature is loaded when it is configured: a first try needs no YAML parser, embedded configuration no gRPC. */
function chooseSource(o: MeshOptions, embedded: EmbeddedOptions, self: WhoAmI): MeshSource {
  const { services, xds } = o;
  if (services !== undefined)
    return new LateSource(import('./embedded.js').then((m) => m.servicesSource(services, embedded)));
  const fromBootstrap = xds === undefined && o.config === undefined && hasBootstrap();
  if (xds !== undefined || fromBootstrap) {
    return new LateSource(import('./xds.js').then((m) => m.adsSource({ xds, self, ...embedded })));
  }
  const config = o.config ?? (existsSync(DEFAULT_CONFIG) ? DEFAULT_CONFIG : undefined);
  if (config === undefined) return noConfig;
  return new LateSource(import('./embedded.js').then((m) => m.fileSource(config, embedded)));
}

const hasBootstrap = (): boolean =>
  Boolean(process.env['GRPC_XDS_BOOTSTRAP'] || process.env['GRPC_XDS_BOOTSTRAP_CONFIG']);

function defaultLogger(): Logger {
  return jsonLogger((line) => process.stderr.write(line), systemClock.wallTime, 'warn');
}
