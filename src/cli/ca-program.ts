import { Argument, type Command, InvalidArgumentError, Option } from 'commander';
import { MAX_LEAF_MS, MAX_TOKEN_MS, MIN_LEAF_MS } from '../controlplane/ca/constants.js';
import { REVOCATION_REASONS, type RevocationReason } from '../controlplane/ca/x509/crl.js';
import { DURATION_PATTERN, formatDuration, parseDuration } from '../controlplane/yaml/duration.js';
import type { CaCommandOptions } from './ca.js';
import { FlagsError, signerFlags } from './ca-flags.js';
import { EXIT, type ExitCode, type Io } from './io.js';

type Commands = typeof import('./ca.js');

/** Adds `inmesh ca …`. */
export function describeCa(program: Command, io: Io, done: (code: ExitCode) => void, output: () => Option): void {
  const ca = program
    .command('ca')
    .description('issue, list and revoke certificates, and look after the certificate authority in a folder')
    .addHelpText(
      'after',
      '\nThe commands work on the folder of the authority; a control plane that runs over it sees what they change at once.',
    );

  const add = (parent: Command, name: string, description: string): Command =>
    parent
      .command(name)
      .description(description)
      .addOption(new Option('--dir <path>', 'folder of the authority').env('INMESH_CA_DIR').default('.inmesh/ca'))
      .addOption(output());
  /** Options as the commands take them, and the command loaded when it is run. */
  const run = async (
    options: { readonly dir: string },
    command: (commands: Commands, options: CaCommandOptions) => Promise<ExitCode>,
  ) => {
    const { dir: directory, ...rest } = options;
    try {
      done(await command(await import('./ca.js'), { ...rest, directory } as unknown as CaCommandOptions));
    } catch (error) {
      if (!(error instanceof FlagsError)) throw error;
      io.err(`${error.message}\n`);
      done(EXIT.usage);
    }
  };
  const ttl = (): Option =>
    new Option('--ttl <duration>', 'lifetime, as 24h: 2160h at most; default: that of the authority').argParser(
      lifetime(MAX_LEAF_MS),
    );

  signerFlags(add(ca, 'issue', 'a certificate for whoever cannot ask for one himself'))
    .argument('<spiffe-id>', 'spiffe://<trust domain>/ns/<namespace>/sa/<service>')
    .option('--csr <file>', 'CSR in PEM, for a key that stays where it is')
    .option('--out <name>', 'writes <name>.pem, and <name>.key where there is no CSR')
    .option('--dns <names...>', 'DNS names that the certificate has as well')
    .option('--ip <addresses...>', 'IP addresses that the certificate has as well')
    .addOption(ttl())
    .action((id: string, options) => run(options, ({ caIssue }, given) => caIssue(id, given, io)));
  add(ca, 'list', 'certificates that have not ended').action((options) =>
    run(options, ({ caList }, given) => caList(given, io)),
  );
  signerFlags(add(ca, 'revoke', 'refuse a certificate from now on, everywhere'))
    .argument('<what>', 'serial number, SHA-256 fingerprint, or a SPIFFE ID: all that it has')
    .addOption(
      new Option('--reason <reason>', 'as RFC 5280 names them')
        .choices(Object.keys(REVOCATION_REASONS))
        .default('unspecified'),
    )
    .action((what: string, options: { readonly dir: string; readonly reason: RevocationReason }) =>
      run(options, ({ caRevoke }, given) => caRevoke(what, { ...given, reason: options.reason }, io)),
    );
  add(ca, 'rotate-root', 'begin to replace the root; the further steps come by themselves')
    .option('--next', 'take the next step now; fails where that would cut workloads off')
    .option('--force', 'with --next: drop the old root although certificates are under it; nobody takes them any more')
    .action((options) => run(options, ({ caRotateRoot }, given) => caRotateRoot(given, io)));
  add(ca, 'bundle', 'the roots, in PEM').action((options) =>
    run(options, ({ caBundle }, given) => caBundle(given, io)),
  );

  const token = ca.command('token').description('join tokens: each lets one workload have its first certificate');
  add(token, 'create', 'make one; it is shown this once')
    .argument('<spiffe-id>', 'whose it is; …/* for whatever is below')
    .addOption(
      new Option('--ttl <duration>', 'how long it is good, as 30m: 720h at most; default: 1h').argParser(
        lifetime(MAX_TOKEN_MS),
      ),
    )
    .action((id: string, options) => run(options, ({ caTokenCreate }, given) => caTokenCreate(id, given, io)));
  add(token, 'list', 'those that have not ended').action((options) =>
    run(options, ({ caTokenList }, given) => caTokenList(given, io)),
  );
  add(token, 'remove', 'make one worthless')
    .argument('<id>')
    .action((id: string, options) => run(options, ({ caTokenRemove }, given) => caTokenRemove(id, given, io)));

  add(ca, 'audit', 'check that no line of the audit log was changed, taken out, moved or cut off')
    .addArgument(new Argument('[verify]', 'what it does without as well').choices(['verify']))
    .option('--anchor <number:hash>', 'head that was written down elsewhere, and must be in the log')
    .action((_: string | undefined, options) => run(options, ({ caAuditVerify }, given) => caAuditVerify(given, io)));
}

/** Milliseconds of a duration as YAML has them; a number alone is seconds. What is over the most is refused: nobody is to hear later that it was cut. */
const lifetime =
  (maxMs: number) =>
  (value: string): number => {
    const parsed = /^\d{1,9}$/.test(value) ? Number(value) * 1_000 : durationOf(value);
    if (parsed === undefined || parsed < MIN_LEAF_MS)
      throw new InvalidArgumentError('It must be a duration from 1s, as 30m or 24h, or a number of seconds.');
    if (parsed > maxMs) throw new InvalidArgumentError(`It must be ${formatDuration(maxMs)} at most.`);
    return parsed;
  };

const durationOf = (value: string): number | undefined =>
  DURATION_PATTERN.test(value) ? parseDuration(value) : undefined;
