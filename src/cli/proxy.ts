import type { ShedOptions } from '../proxy/index.js';
import { EXIT, type ExitCode, type Io, type LogLevelName, messageOf, type OutputFormat, withPort } from './io.js';
import type { ProxyAdmin } from './proxy-admin.js';

export interface ProxyCommandOptions {
  readonly listen: string;
  readonly config?: readonly string[];
  readonly xds?: string;
  readonly service?: string;
  readonly unknownHosts?: 'passthrough' | 'deny';
  readonly trustPriority?: boolean;
  readonly mtls?: 'strict' | 'permissive';
  /** Service whose policies hold for requests. */
  readonly policies?: string;
  /** `host:port` of the program behind. */
  readonly app?: string;
  readonly appProtocol?: 'http1' | 'http2';
  readonly gateway?: boolean;
  readonly trustedHops?: number;
  /** Milliseconds. */
  readonly reserve?: number;
  /** `true`: by the algorithm that there is by default. */
  readonly shed?: true | 'gradient2' | 'vegas' | 'aimd';
  readonly shedMax?: number;
  /** Milliseconds; 0: the event loop is not watched. */
  readonly shedLag?: number;
  readonly accessLog?: string;
  readonly admin?: string;
  /** Seconds that requests under way have when it is told to stop. */
  readonly drain: number;
  readonly logLevel: LogLevelName;
  readonly output: OutputFormat;
}

/**
 * Runs the proxy until it is told to stop; then requests under way end first. It listens at once: requests wait for the first
 * configuration within their own deadline. A configuration that can never come ends it.
 */
export async function proxy(options: ProxyCommandOptions, io: Io): Promise<ExitCode> {
  const { config, xds, unknownHosts, accessLog, listen, app } = options;
  // In front of a program the proxy is its service: one name says both.
  const service = options.service ?? (app === undefined ? undefined : options.policies);
  const policies = options.policies ?? (app === undefined ? undefined : service);
  if (app !== undefined && policies === undefined) {
    io.err("error: option '--app <host:port>' needs '--policies <service>': what is the program called in the mesh?\n");
    return EXIT.usage;
  }
  const [{ meshClient }, { startProxy }] = await Promise.all([import('../index.js'), import('../proxy/index.js')]);
  const logger = io.logger(options.logLevel);
  const mesh = meshClient({
    logger,
    service: service ?? 'inmesh-proxy',
    ...(config === undefined ? {} : { config }),
    ...(xds === undefined ? {} : { xds }),
    ...(unknownHosts === undefined ? {} : { unknownHosts }),
    ...(accessLog === undefined ? {} : { accessLog: accessLog === '-' ? true : accessLog }),
  });
  let pages: ProxyAdmin | undefined;
  let ready = false;
  let draining = false;
  try {
    if (options.admin !== undefined) {
      const { startProxyAdmin } = await import('./proxy-admin.js');
      pages = await startProxyAdmin({ mesh, listen: options.admin, logger, ready: () => ready && !draining });
    }
    const running = await startProxy({
      ...(app === undefined
        ? { service: mesh.service, gateway: options.gateway ?? false }
        : { app: { address: app, protocol: options.appProtocol ?? 'http1' } }),
      listen,
      logger,
      trustPriority: options.trustPriority ?? false,
      trustedHops: options.trustedHops ?? 0,
      ...(options.mtls === undefined ? {} : { mtls: options.mtls }),
      ...(policies === undefined ? {} : { policies }),
      servers: mesh.servers,
      ...(options.reserve === undefined ? {} : { reserveMs: options.reserve }),
      shed: shedOptions(options),
      meter: mesh.meter,
    });
    const stopped = io.stopped();
    const admin =
      options.admin === undefined || pages === undefined ? undefined : `http://${withPort(options.admin, pages.port)}`;
    if (options.output === 'json') io.out(`${JSON.stringify({ url: running.url, admin })}\n`);
    else io.out(`proxy: ${running.url}${admin === undefined ? '' : `, admin pages on ${admin}`}\n`);
    const failure = new Promise<string>((resolve) => {
      mesh.ready().then(
        () => {
          ready = true;
          logger.info('the first configuration is there');
        },
        (error: unknown) => resolve(messageOf(error)),
      );
    });
    const ended = await Promise.race([stopped, failure]);
    draining = true;
    await running.close({ graceMs: ended === undefined ? options.drain * 1_000 : 0 });
    if (ended === undefined) return EXIT.ok;
    io.err(`${ended}\n`);
    return EXIT.failed;
  } finally {
    await pages?.close();
    await mesh.close();
  }
}

/** What was said of shedding means it. */
function shedOptions({ shed, shedMax, shedLag }: ProxyCommandOptions): false | ShedOptions {
  if (shed === undefined && shedMax === undefined && shedLag === undefined) return false;
  return {
    ...(shed === undefined || shed === true ? {} : { algorithm: shed }),
    ...(shedMax === undefined ? {} : { maxLimit: shedMax }),
    ...(shedLag === undefined ? {} : { maxLagMs: shedLag === 0 ? false : shedLag }),
  };
}
