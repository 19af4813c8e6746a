import { systemClock } from '../core/clock.js';
import { DEFAULT_PROVIDER, type IdentitySource } from '../core/identity.js';
import type { Logger } from '../core/log.js';
import { systemRandom } from '../core/random.js';
import { type IdentityOption, identityEnvironment } from '../mesh/identity-option.js';
import { planIdentity } from '../mesh/identity-plan.js';
import { EXIT, type ExitCode, type Io, type LogLevelName, type OutputFormat } from './io.js';

export interface SdsCommandOptions {
  readonly socket: string;
  readonly spiffeId?: string;
  readonly ca?: string;
  readonly caRoots?: string;
  readonly joinTokenFile?: string;
  readonly directory?: string;
  readonly logLevel: LogLevelName;
  readonly output: OutputFormat;
}

/** Serves one identity to an Envoy beside this process, over a Unix socket, until it is told to stop. */
export async function sds(options: SdsCommandOptions, io: Io): Promise<ExitCode> {
  const { socket, ca, directory, spiffeId } = options;
  if (ca !== undefined && directory !== undefined) {
    io.err('--ca and --directory exclude each other (--help lists the options)\n');
    return EXIT.usage;
  }
  if ((ca ?? directory) !== undefined && spiffeId === undefined) {
    io.err('--spiffe-id says which identity is asked for (--help lists the options)\n');
    return EXIT.usage;
  }
  const logger = io.logger(options.logLevel);
  const plan = planIdentity(DEFAULT_PROVIDER, {
    option: optionOf(options),
    environment: identityEnvironment(process.env),
    service: '',
    named: false,
    trustDomain: () => undefined,
    directory: undefined,
    controlPlane: undefined,
    bootstrap: () => undefined,
    clock: systemClock,
    random: systemRandom,
    logger,
  });
  if (plan === undefined) {
    io.err('no identity: give --ca or --directory, or set SPIFFE_ENDPOINT_SOCKET (--help lists the options)\n');
    return EXIT.usage;
  }
  const source = await plan.make();
  try {
    const stopped = io.stopped();
    const known = await Promise.race([firstOf(source, logger), stopped]);
    if (known === undefined) return EXIT.ok;
    const { serveSds } = await import('../controlplane/sds/serve.js');
    const server = await serveSds({ socket, source, logger });
    if (options.output === 'json') io.out(`${JSON.stringify({ sds: `unix:${socket}`, identity: known })}\n`);
    else io.out(`secrets of ${known} on unix:${socket}\n`);
    await stopped;
    await server.close();
    return EXIT.ok;
  } finally {
    await source.close();
  }
}

function optionOf({ ca, caRoots, joinTokenFile, directory, spiffeId }: SdsCommandOptions): IdentityOption | undefined {
  if (directory !== undefined) return { directory, ...(spiffeId !== undefined && { spiffeId }) };
  if (ca === undefined) return undefined;
  return {
    ca: {
      address: ca,
      ...(spiffeId !== undefined && { spiffeId }),
      ...(caRoots !== undefined && { roots: caRoots }),
      ...(joinTokenFile !== undefined && { joinTokenFile }),
    },
  };
}

/** Whose the first identity is. Trouble is logged all the time. */
function firstOf(source: IdentitySource, logger: Logger): Promise<string> {
  return new Promise((resolve) => {
    source.watch({
      changed: ({ identity }) => resolve(identity?.spiffeId ?? 'roots only'),
      failed: (error) => logger.warn('identity', { error: error.message }),
    });
  });
}
