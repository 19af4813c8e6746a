import { EgressHolder } from '../client/egress.js';
import { existsSync } from 'node:fs';
import { basename, dirname, extname, join } from 'node:path';
import { systemClock } from '../core/clock.js';
import { systemResolver } from '../core/dns.js';
import { DEFAULT_PROVIDER } from '../core/identity.js';
import { jsonLogger, type Logger } from '../core/log.js';
import { systemRandom } from '../core/random.js';
import { createObservability } from '../observability/observability.js';
import type { EmbeddedOptions } from './embedded.js';
import { withEnvironment } from './environment.js';
import { federating } from './federation.js';
import { MeshIdentity } from './identity.js';
import { identityEnvironment, workloadApiOf } from './identity-option.js';
import { hasIdentity, isCertifiedByControlPlane, planIdentity } from './identity-plan.js';
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
 * Where configuration comes from, in this order: `services`, `config` or `xds`; INMESH_CONFIG or INMESH_XDS; a gRPC xDS bootstrap (GRPC_XDS_BOOTSTRAP,
 * GRPC_XDS_BOOTSTRAP_CONFIG; gRFC A27); `./mesh.yaml`; else there is none, and hosts are found by DNS with the default policies. Throws DecodeError when options or
 * environment cannot be meant.
 */
export function meshClient(options: MeshOptions = {}): Mesh {
  const {
    clock = systemClock,
    random = systemRandom,
    resolve = systemResolver,
    ...o
  } = withEnvironment(checkOptions(options), process.env);
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
  let trustDomain: string | undefined;
  /** The one that this workload has its certificate in, once it has asked for one. */
  let ownTrustDomain: string | undefined;
  const egress = new EgressHolder();
  const environment = identityEnvironment(process.env);
  const identity = new MeshIdentity({
    clock,
    random,
    logger,
    meter,
    workloadApi: workloadApiOf(o.identity, environment),
    plan: (instance) => {
      const plan = planIdentity(instance, {
        option: o.identity,
        environment,
        service,
        named: named !== undefined,
        trustDomain: () => {
          ownTrustDomain = trustDomain;
          return trustDomain;
        },
        directory: authorityFolder(o),
        controlPlane: typeof o.xds === 'string' ? o.xds : undefined,
        bootstrap: () => source.certificateProviders,
        clock,
        random,
        logger,
      });
      const { federatesWith = [] } = o;
      if (plan === undefined || instance !== DEFAULT_PROVIDER || federatesWith.length === 0) return plan;
      return federating(plan, federatesWith, { clock, random });
    },
  });
  const embedded: EmbeddedOptions = {
    clock,
    logger,
    meter,
    dns,
    // All would have to change at the same moment: until the last one has, those who have and those who have not refuse each other.
    refusalOf: (settings) =>
      ownTrustDomain === undefined || ownTrustDomain === settings.trustDomain
        ? undefined
        : `MeshConfig.spec.trustDomain: "${settings.trustDomain}" is not the trust domain that this process has its certificate in, "${ownTrustDomain}": stop all that ` +
          'belong to the mesh, and start them anew',
    onSettings: (settings) => {
      trustDomain = settings.trustDomain;
      egress.take(settings);
      if (settings.mtls || o.identity !== undefined) identity.want();
    },
  };
  const self = { service, locality, hasIdentity: hasIdentity({ option: o.identity, environment }) };
  const certified = typeof o.xds === 'string' && isCertifiedByControlPlane({ option: o.identity, environment });
  const source: MeshSource = chooseSource(o, embedded, { egress, certified, identity }, self);
  // An embedded configuration says first in which trust domain this is.
  const embeds = source !== noConfig && !configuredByServer(o);
  if (!embeds && (o.identity !== undefined || environment.ca !== undefined || certified)) identity.want();
  return createMesh({
    source,
    identity,
    unknownHosts: { policy: () => o.unknownHosts ?? egress.unknownHosts ?? 'passthrough', resolve, egress },
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
      source: {
        labels: o.labels ?? {},
        get principal() {
          return identity.principal;
        },
      },
      transports: suppressing(transports, observability.suppressDoubleSpans),
    },
    observability,
  });
}

/** Where the authority of an embedded configuration is kept: beside it. */
const AUTHORITY_FOLDER = join('.inmesh', 'ca');

/** Undefined: the configuration is a control plane's, or there is none. */
function authorityFolder(o: MeshOptions): string | undefined {
  if (configuredByServer(o) || o.services !== undefined) return undefined;
  const [first = DEFAULT_CONFIG] = typeof o.config === 'string' ? [o.config] : (o.config ?? []);
  const isFile = ['.yaml', '.yml', '.json'].includes(extname(first));
  return join(isFile ? dirname(first) : first, AUTHORITY_FOLDER);
}

const configuredByServer = ({ xds, config }: MeshOptions): boolean =>
  xds !== undefined || (config === undefined && hasBootstrap());

/** What this workload knows of itself. */
type WhoAmI = AdsSourceOptions['self'] & Pick<AdsSourceOptions, 'hasIdentity'>;

/** What serves a feature is loaded when it is configured: a first try needs no YAML parser, embedded configuration no gRPC. */
function chooseSource(
  o: MeshOptions,
  embedded: EmbeddedOptions,
  served: Pick<AdsSourceOptions, 'egress' | 'certified' | 'identity'>,
  self: WhoAmI,
): MeshSource {
  const { services, xds } = o;
  if (services !== undefined)
    return new LateSource(import('./embedded.js').then((m) => m.servicesSource(services, embedded)));
  if (configuredByServer(o)) {
    const { hasIdentity, ...who } = self;
    return new LateSource(
      import('./xds.js').then((m) => m.adsSource({ xds, self: who, hasIdentity, ...served, ...embedded })),
    );
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
