import { Command, CommanderError, InvalidArgumentError, Option } from 'commander';
import { VERSION } from '../core/version.js';
import type { AnalyzeOptions } from './analyze.js';
import { describeAuthz } from './authz-program.js';
import type { ControlPlaneCommandOptions } from './controlplane.js';
import { kubernetesFlags, signerFlags } from './ca-flags.js';
import { describeCa } from './ca-program.js';
import { EXIT, type ExitCode, type Io, LOG_LEVELS, messageOf } from './io.js';
import type { ProxyCommandOptions } from './proxy.js';
import type { SdsCommandOptions } from './sds.js';

/** Runs the command with its arguments (without `node` and the script) and resolves with its exit code. Never rejects. */
export async function run(args: readonly string[], io: Io): Promise<ExitCode> {
  let exitCode: ExitCode = EXIT.ok;
  const program = describe(io, (code) => {
    exitCode = code;
  });
  try {
    await program.parseAsync(args, { from: 'user' });
    return exitCode;
  } catch (error) {
    // Commander has said what is wrong already; help and version end with 0.
    if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.ok : EXIT.usage;
    io.err(`inmesh: ${messageOf(error)}\n`);
    return EXIT.failed;
  }
}

/** All commands and their flags; `done` is told how the one that ran has ended. */
export function describe(io: Io, done: (code: ExitCode) => void): Command {
  const program = new Command('inmesh')
    .description('A service mesh inside the process: its control plane, its proxy and its tools.')
    .version(VERSION)
    .exitOverride()
    .configureOutput({ writeOut: (text) => io.out(text), writeErr: (text) => io.err(text) })
    .showHelpAfterError('(--help lists the options)')
    .addHelpText('after', '\nExit codes: 0 all well, 1 it failed, 2 the arguments are wrong.');

  const controlplane = program
    .command('controlplane')
    .description('serve YAML configuration over xDS (ADS) to inmesh, Envoy and gRPC clients, and rate limits (RLS)')
    .option('-c, --config <paths...>', 'YAML files, and folders of them; watched')
    .option(
      '--rate-limits <paths...>',
      'files of envoyproxy/ratelimit, and folders of them; watched: a rate limit service on the same port',
    )
    .addOption(
      new Option(
        '--redis <url>',
        'where the rate limit service counts, redis:// or rediss://; default: in this process',
      ).env('INMESH_REDIS_URL'),
    )
    .addOption(new Option('--listen <host:port>', 'where xDS is served').argParser(hostPort).default('127.0.0.1:18000'))
    .addOption(
      new Option('--admin <host:port>', 'where the admin pages are served, /ready among them').argParser(hostPort),
    )
    .option('--ca [directory]', 'run a certificate authority, in this folder; default: .inmesh/ca')
    .addOption(
      new Option(
        '--ca-listen <host:port>',
        'where the certificate authority is served, over TLS; default: 127.0.0.1:18001',
      ).argParser(hostPort),
    )
    .option('--trust-domain <name>', 'of the certificate authority; default: cluster.local')
    .addOption(
      new Option(
        '--ca-renewal-after-expiry <seconds>',
        'certificates that have ended may be renewed for so long; an old key is as good for so long; default: 0',
      ).argParser(whole(7_776_000)),
    )
    .addOption(
      new Option(
        '--tls <mode>',
        'of xDS, with --ca: strict asks for certificates of the mesh, permissive, which is the default, takes clear text as well',
      ).choices(['off', 'permissive', 'strict']),
    )
    .option('--no-xds-identity-check', 'serve clients whose node says that it is another than its certificate');
  signerFlags(kubernetesFlags(controlplane))
    .addOption(logLevel())
    .addOption(output())
    .action(async (options: ControlPlaneCommandOptions) => {
      const commands = await import('./controlplane.js');
      done(await commands.controlplane(options, io));
    });

  program
    .command('sds')
    .description('serve one identity to an Envoy on this machine by secret discovery (SDS): default, ROOTCA, ALL')
    .requiredOption('--socket <path>', 'Unix socket; made for this user alone: whoever opens it gets the private key')
    .option('--spiffe-id <id>', 'the identity that is asked for')
    .addOption(new Option('--ca <host:port>', 'certificate authority: the control plane').argParser(hostPort))
    .option('--ca-roots <file>', 'what the authority is verified with at first; default: the root in the join token')
    .option('--join-token-file <file>', 'join token, or token of a Kubernetes service account')
    .option('--directory <folder>', 'in place of --ca: an authority in a folder of this user')
    .addOption(logLevel())
    .addOption(output())
    .action(async (options: SdsCommandOptions) => {
      const { sds } = await import('./sds.js');
      done(await sds(options, io));
    });

  program
    .command('proxy')
    .description('forward HTTP/1.1, HTTP/2 and gRPC through the mesh, for programs that cannot import it')
    .addOption(
      new Option('--listen <host:port>', 'where the proxy listens').argParser(hostPort).default('127.0.0.1:15001'),
    )
    .addOption(new Option('-c, --config <paths...>', 'YAML files, and folders of them; watched').conflicts('xds'))
    .addOption(new Option('--xds <host:port>', 'control plane to take the configuration from').argParser(hostPort))
    .option('--service <name>', 'name of this workload, for logs and the control plane')
    .addOption(
      new Option('--unknown-hosts <policy>', 'hosts that the configuration does not know').choices([
        'passthrough',
        'deny',
      ]),
    )
    .option('--trust-priority', 'believe inmesh-priority of requests: all clients are services of the mesh')
    .addOption(
      new Option(
        '--mtls <mode>',
        "mutual TLS towards clients, under the mesh's identity; default: plain text, with --app as configured",
      ).choices(['strict', 'permissive']),
    )
    .option(
      '--policies <service>',
      'hold requests to what the configuration says for servers of this service: tokens, authorization, limits; default: none',
    )
    .addOption(
      new Option(
        '--app <host:port>',
        'the program of --policies that the proxy stands in front of: all that is let in goes there, and nowhere else',
      )
        .argParser(hostPort)
        .conflicts('gateway'),
    )
    .addOption(
      new Option('--app-protocol <protocol>', 'what the program speaks besides gRPC; default: http1').choices([
        'http1',
        'http2',
      ]),
    )
    .option(
      '--gateway',
      'with --policies: let requests in for other hosts, too, which go there under the identity of the proxy',
    )
    .addOption(
      new Option(
        '--trusted-hops <number>',
        'proxies in front of this one that are believed about the client (x-forwarded-for); default: 0',
      ).argParser(whole(16)),
    )
    .addOption(
      new Option(
        '--reserve <ms>',
        'how much of the time that a client waits is kept from what is called for it; default: 5 %, 1 to 5 ms',
      ).argParser(whole(60_000)),
    )
    .addOption(
      new Option(
        '--shed [algorithm]',
        'refuse requests that could not be answered in time; default: off, and gradient2',
      ).choices(['gradient2', 'vegas', 'aimd']),
    )
    .addOption(
      new Option('--shed-max <requests>', 'most requests under way at once; default: that of the algorithm').argParser(
        whole(100_000, 1),
      ),
    )
    .addOption(
      new Option(
        '--shed-lag <ms>',
        'how late the event loop may be before requests are refused, 0 for never mind; default: 70',
      ).argParser(whole(60_000)),
    )
    .addOption(
      new Option(
        '--admin <host:port>',
        'where the admin pages are served, /metrics and /ready among them; default: nowhere',
      ).argParser(hostPort),
    )
    .option('--access-log <path>', 'JSON access log; - is standard output')
    .addOption(
      new Option('--drain <seconds>', 'time for requests under way when told to stop').argParser(seconds).default(10),
    )
    .addOption(logLevel())
    .addOption(output())
    .addHelpText(
      'after',
      '\nWithout --config and --xds: GRPC_XDS_BOOTSTRAP, then ./mesh.yaml, then plain DNS with default policies.',
    )
    .action(async (options: ProxyCommandOptions) => {
      const { proxy } = await import('./proxy.js');
      done(await proxy(options, io));
    });

  program
    .command('analyze')
    .description('compile configuration and print every mistake as file:line:column path: message')
    .argument('<paths...>', 'YAML files, and folders of them')
    .addOption(
      new Option('--failure-threshold <level>', 'exit with 1 from this level on: warn fails for warnings, too')
        .choices(['warn', 'error'])
        .default('error'),
    )
    .addOption(output())
    .action(async (paths: string[], options: AnalyzeOptions) => {
      const { analyze } = await import('./analyze.js');
      done(await analyze(paths, options, io));
    });

  describeAuthz(program, io, done, output);
  describeCa(program, io, done, output);

  return program;
}

const logLevel = (): Option =>
  new Option('--log-level <level>', 'least level that is logged, as JSON on standard error')
    .choices(LOG_LEVELS)
    .default('info');

const output = (): Option =>
  new Option('-o, --output <format>', 'what is printed on standard output').choices(['text', 'json']).default('text');

function hostPort(value: string): string {
  const port = /^(?:\[[0-9a-fA-F:.]+\]|[^\s:/[\]]+):(\d{1,5})$/.exec(value)?.[1];
  if (port === undefined || Number(port) > 65_535)
    throw new InvalidArgumentError('It must be host:port, as 127.0.0.1:18000.');
  return value;
}

function seconds(value: string): number {
  const parsed = Number(value);
  if (!/^\d+(\.\d+)?$/.test(value) || parsed > 3_600)
    throw new InvalidArgumentError('It must be a number from 0 to 3600.');
  return parsed;
}

const whole =
  (max: number, min = 0) =>
  (value: string): number => {
    const parsed = Number(value);
    if (!/^\d+$/.test(value) || parsed < min || parsed > max)
      throw new InvalidArgumentError(`It must be a whole number from ${min} to ${max}.`);
    return parsed;
  };
