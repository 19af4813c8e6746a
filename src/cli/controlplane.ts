import { access } from 'node:fs/promises';
import { FlagsError, type KubernetesFlags, kubernetesOf, type SignerFlags, signerOf } from './ca-flags.js';
import { systemClock } from '../core/clock.js';
import { systemRandom } from '../core/random.js';
import { EXIT, type ExitCode, type Io, type LogLevelName, messageOf, type OutputFormat, withPort } from './io.js';

export interface ControlPlaneCommandOptions extends KubernetesFlags, SignerFlags {
  readonly config?: readonly string[];
  readonly rateLimits?: readonly string[];
  readonly redis?: string;
  readonly listen: string;
  readonly admin?: string;
  /** `true`: in the default folder. */
  readonly ca?: string | true;
  readonly caListen?: string;
  readonly trustDomain?: string;
  /** Seconds. */
  readonly caRenewalAfterExpiry?: number;
  readonly tls?: 'off' | 'permissive' | 'strict';
  /** False: `--no-xds-identity-check`. */
  readonly xdsIdentityCheck?: boolean;
  readonly logLevel: LogLevelName;
  readonly output: OutputFormat;
}

/**
 * Serves the configuration over xDS until it is told to stop. A configuration with mistakes does not end it: they are on the log and
 * on the admin pages, which are not ready, and a mended file is taken over.
 */
export async function controlplane(options: ControlPlaneCommandOptions, io: Io): Promise<ExitCode> {
  const { config, rateLimits, redis, listen, admin } = options;
  const { ca: directory, caListen, trustDomain, tls, caRenewalAfterExpiry: renewal } = options;
  if (config === undefined && rateLimits === undefined && directory === undefined) {
    io.err(
      'there is nothing to serve: give --config, --rate-limits, --ca or several of them (--help lists the options)\n',
    );
    return EXIT.usage;
  }
  const ofCa = [caListen, trustDomain, renewal, tls === 'off' ? undefined : tls];
  if (directory === undefined && ofCa.some((flag) => flag !== undefined)) {
    io.err('--ca-…, --trust-domain and --tls need a certificate authority: give --ca\n');
    return EXIT.usage;
  }
  let attesting: Awaited<ReturnType<typeof attestingAndSigning>>;
  try {
    attesting = await attestingAndSigning(options);
  } catch (error) {
    if (!(error instanceof FlagsError)) throw error;
    io.err(`${error.message}\n`);
    return EXIT.usage;
  }
  const ca = {
    ...attesting,
    ...(typeof directory === 'string' && { directory }),
    ...(caListen !== undefined && { listen: caListen }),
    ...(trustDomain !== undefined && { trustDomain }),
    ...(renewal !== undefined && { renewalAfterExpiryMs: renewal * 1_000 }),
  };
  for (const [flag, paths] of [
    ['--config', config],
    ['--rate-limits', rateLimits],
  ] as const) {
    for (const path of paths ?? []) {
      const problem = await access(path).then(() => undefined, messageOf);
      if (problem === undefined) continue;
      io.err(`${flag} ${path} cannot be read: ${problem}\n`);
      return EXIT.failed;
    }
  }
  const [{ startControlPlane }, { createObservability }] = await Promise.all([
    import('../controlplane/index.js'),
    import('../observability/observability.js'),
  ]);
  const logger = io.logger(options.logLevel);
  const observability = createObservability({
    ...{ service: 'control-plane', clock: systemClock, random: systemRandom, logger, tracing: 'off' },
  });
  const running = await startControlPlane({
    listen,
    logger,
    meter: observability.meter,
    metrics: () => observability.prometheus(),
    ...(config && { config }),
    ...(directory !== undefined && { ca, ...(tls !== undefined && { tls }) }),
    ...(options.xdsIdentityCheck === false && { xdsIdentityCheck: false }),
    ...(rateLimits && { rateLimits, ...(redis !== undefined && { rateLimitRedis: redis }) }),
    ...(admin === undefined ? {} : { admin }),
  }).catch(async (error: unknown) => {
    await observability.close();
    throw error;
  });
  const stopped = io.stopped();
  const { ready, refused, rateLimits: limits } = running.status();
  const where = {
    xds: withPort(listen, running.port),
    ...(running.ca && { ca: withPort(caListen ?? '127.0.0.1:18001', running.ca.port) }),
    ...(admin === undefined || running.adminPort === undefined
      ? {}
      : { admin: `http://${withPort(admin, running.adminPort)}` }),
    ready,
  };
  if (options.output === 'json') io.out(`${JSON.stringify(where)}\n`);
  else {
    const pages = where.admin === undefined ? '' : `, admin pages on ${where.admin}`;
    const what =
      config === undefined
        ? rateLimits === undefined
          ? 'xDS'
          : 'rate limits'
        : rateLimits === undefined
          ? 'xDS'
          : 'xDS and rate limits';
    const authority = where.ca === undefined ? '' : `, certificates on ${where.ca}`;
    io.out(`control plane: ${what} on ${where.xds}${authority}${pages}\n`);
    if (refused !== undefined || limits?.refused !== undefined)
      io.err('the configuration has mistakes (see the log): waiting for the files to be mended\n');
  }
  await stopped;
  await running.close();
  await observability.close();
  return EXIT.ok;
}

/** How the authority attests and signs, where that is not by join tokens and keys of its own alone. Throws a FlagsError. */
async function attestingAndSigning(options: ControlPlaneCommandOptions) {
  const kubernetes = kubernetesOf(options);
  const signer = await signerOf(options, process.env);
  if (options.ca === undefined && (kubernetes !== undefined || signer !== undefined))
    throw new FlagsError('service accounts and signers are for a certificate authority: give --ca');
  return { ...(kubernetes && { kubernetes }), ...(signer && { signer }) };
}
