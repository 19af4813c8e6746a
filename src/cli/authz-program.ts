import { type Command, InvalidArgumentError, Option } from 'commander';
import type { ExplainOptions } from './authz.js';
import type { ListOptions } from './authz-list.js';
import type { ExitCode, Io } from './io.js';

/** Adds `inmesh authz …`. */
export function describeAuthz(program: Command, io: Io, done: (code: ExitCode) => void, output: () => Option): void {
  const authz = program.command('authz').description('who may do what');
  const add = (name: string, description: string): Command =>
    authz
      .command(name)
      .description(description)
      .requiredOption('-c, --config <paths...>', 'YAML files, and folders of them')
      .requiredOption('--service <name>', 'the Service that is called, by a name that callers use');

  add('explain', 'say whether servers of a Service let a request in, and which policy and rule decides')
    .option('--method <method>', 'HTTP method', 'GET')
    .option('--path <path>', 'path and query; /package.Service/Method for gRPC', '/')
    .option('--host <host>', 'host that is asked for; default: the Service')
    .option(
      '--principal <id>',
      'SPIFFE ID of the caller, or the name of a Service beside the one that is called; default: it shows no certificate',
    )
    .option('--source <address>', 'IP address of the caller', '127.0.0.1')
    .addOption(new Option('--port <number>', 'port that the server listens on').argParser(port))
    .option('--header <name: value>', 'header of the request; may be repeated', collected, [])
    .option('--claim <name=value>', 'claim of a verified token; may be repeated', collected, [])
    .option('--grpc', 'it is a gRPC call')
    .addOption(new Option('--at <time>', 'when, as 2026-03-29T01:30:00Z; default: now').argParser(instant))
    .option('--exit-code', 'exit with 3 for DENIED and 4 for DEPENDS; default: 0 for whatever was found')
    .addOption(output())
    .action(async (options: ExplainOptions) => {
      const { explain } = await import('./authz.js');
      done(await explain(options, io));
    });
  add('list', 'print which policies servers of a Service hold requests to, in the order in which they ask them')
    .addOption(output())
    .action(async (options: ListOptions) => {
      const { list } = await import('./authz-list.js');
      done(await list(options, io));
    });
}

const collected = (value: string, before: readonly string[]): readonly string[] => [...before, value];

function instant(value: string): string {
  if (Number.isNaN(Date.parse(value))) throw new InvalidArgumentError('It must be a time, as 2026-03-29T01:30:00Z.');
  return value;
}

function port(value: string): number {
  const parsed = Number(value);
  if (!/^\d+$/.test(value) || parsed < 1 || parsed > 65_535)
    throw new InvalidArgumentError('It must be a whole number from 1 to 65535.');
  return parsed;
}
