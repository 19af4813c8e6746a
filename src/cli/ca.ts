import { generateKeyPairSync } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { JoinTokens } from '../controlplane/ca/attestation/join-token.js';
import { CertificateAuthority } from '../controlplane/ca/authority.js';
import { CaError } from '../controlplane/ca/errors.js';
import { verifyAudit } from '../controlplane/ca/store/audit-verify.js';
import { readIfThere } from '../controlplane/ca/store/files.js';
import { checkCsr } from '../controlplane/ca/x509/csr.js';
import type { RevocationReason } from '../controlplane/ca/x509/crl.js';
import { systemClock } from '../core/clock.js';
import { certificateRequest } from '../identity/csr.js';
import { type SignerFlags, signerOf } from './ca-flags.js';
import { EXIT, type ExitCode, type Io, type OutputFormat } from './io.js';

/*
 * The commands work on the authority's folder itself, under its lock: whoever may read it has its keys anyway, and a control plane that runs over it sees what they
 * change at once.
 */
export interface CaCommandOptions {
  readonly directory: string;
  readonly output: OutputFormat;
}

const time = (at: number): string => new Date(at).toISOString();

/** Opens what is there: a command that is mistaken in the folder is not to make another authority. `flags`: of who signs in its place; without, nothing is signed for one that has no keys. */
async function withAuthority<T>(
  directory: string,
  work: (ca: CertificateAuthority) => Promise<T>,
  flags: SignerFlags = {},
): Promise<T> {
  if ((await readIfThere(`${directory}/state.json`)) === undefined)
    throw new CaError(
      'not_found',
      `there is no authority in ${directory}: start one (inmesh controlplane --ca), or give --dir`,
    );
  const signer = await signerOf(flags, process.env);
  const ca = await CertificateAuthority.open({
    directory,
    ...(signer === undefined ? { attached: true } : { signer }),
  });
  try {
    return await work(ca);
  } finally {
    await ca.close();
  }
}

export interface IssueOptions extends CaCommandOptions, SignerFlags {
  readonly csr?: string;
  readonly out?: string;
  /** Milliseconds. */
  readonly ttl?: number;
  readonly dns?: readonly string[];
  readonly ip?: readonly string[];
}

/** A certificate for whoever cannot ask for one himself. Without a CSR its key is made here, and is in a file of mode 600. */
export async function caIssue(spiffeId: string, options: IssueOptions, io: Io): Promise<ExitCode> {
  const { directory, csr: csrFile, out, ttl, dns = [], ip: ips = [] } = options;
  if (csrFile === undefined && out === undefined) {
    io.err('say where certificate and key go: --out <name> makes <name>.pem and <name>.key; or give --csr <file>\n');
    return EXIT.usage;
  }
  const issue = async (ca: CertificateAuthority): Promise<ExitCode> => {
    const csr = csrFile === undefined ? undefined : checkCsr(await readFile(csrFile, 'utf8'));
    const made = csr === undefined ? generateKeyPairSync('ec', { namedCurve: 'P-256' }) : undefined;
    const publicKey = csr?.publicKey ?? (made?.publicKey.export({ type: 'spki', format: 'der' }) as Buffer);
    const { certificates, serial, notAfter } = await ca.issue({
      spiffeId,
      publicKey,
      // Who signs in the authority's place wants one.
      csr: csr?.pem ?? (made && certificateRequest(made.privateKey, { spiffeId, dns })),
      dns,
      ips,
      lifetimeMs: ttl,
      by: 'cli',
    });
    const files = out === undefined ? {} : { certificate: `${out}.pem`, ...(made && { key: `${out}.key` }) };
    if (out !== undefined) {
      if (made !== undefined)
        await writeFile(`${out}.key`, made.privateKey.export({ type: 'pkcs8', format: 'pem' }), {
          mode: 0o600,
          flag: 'wx',
        });
      await writeFile(`${out}.pem`, certificates.join(''));
    }
    if (options.output === 'json')
      io.out(`${JSON.stringify({ spiffeId, serial, notAfter: time(notAfter), certificates, ...files })}\n`);
    else if (out === undefined) io.out(certificates.join(''));
    else io.out(`${spiffeId} until ${time(notAfter)}, serial ${serial}: ${Object.values(files).join(', ')}\n`);
    return EXIT.ok;
  };
  return withAuthority(directory, issue, options);
}

export async function caList({ directory, output }: CaCommandOptions, io: Io): Promise<ExitCode> {
  return withAuthority(directory, async (ca) => {
    const rows = [];
    for await (const { serial, spiffeId, notAfter, by, revoked } of ca.issued())
      rows.push({
        serial,
        spiffeId,
        notAfter: time(notAfter),
        by,
        revoked: revoked === undefined ? undefined : time(revoked.at),
        reason: revoked?.reason,
      });
    if (output === 'json') io.out(`${JSON.stringify(rows)}\n`);
    else {
      const lines = rows.map(({ serial, spiffeId, notAfter, by, revoked }) => [
        serial,
        notAfter,
        revoked === undefined ? 'good' : 'revoked',
        spiffeId,
        by,
      ]);
      io.out(table([['SERIAL', 'UNTIL', 'STATE', 'SPIFFE ID', 'ATTESTED BY'], ...lines]));
    }
    return EXIT.ok;
  });
}

export async function caRevoke(
  what: string,
  options: CaCommandOptions & SignerFlags & { readonly reason: RevocationReason },
  io: Io,
): Promise<ExitCode> {
  const revoke = async (ca: CertificateAuthority): Promise<ExitCode> => {
    const revoked = await ca.revoke(what, options.reason);
    if (options.output === 'json')
      io.out(`${JSON.stringify(revoked.map(({ serial, spiffeId }) => ({ serial, spiffeId })))}\n`);
    else if (revoked.length === 0) io.out('revoked before\n');
    else for (const { serial, spiffeId } of revoked) io.out(`revoked ${serial} (${spiffeId})\n`);
    return EXIT.ok;
  };
  return withAuthority(options.directory, revoke, options);
}

export async function caRotateRoot(
  options: CaCommandOptions & { readonly next?: boolean; readonly force?: boolean },
  io: Io,
): Promise<ExitCode> {
  return withAuthority(options.directory, async (ca) => {
    const rotation = await ca.rotateRoot(options.next ? 'next' : 'begin', options.force);
    const { roots } = ca.state;
    const told = rotation === undefined ? null : { ...rotation, until: time(rotation.until) };
    if (options.output === 'json') io.out(`${JSON.stringify({ rotation: told, roots: roots.length })}\n`);
    else if (rotation === undefined) io.out('the new root is the only one now\n');
    else if (rotation.step === 'distribute')
      io.out(
        `root ${rotation.newRoot} is trusted from now on, and signs from ${time(rotation.until)} (sooner: rotate-root --next)\n`,
      );
    else
      io.out(
        `root ${rotation.newRoot} signs; the old one goes when its last leaf has ended, ${time(rotation.until)}\n`,
      );
    return EXIT.ok;
  });
}

export async function caBundle({ directory, output }: CaCommandOptions, io: Io): Promise<ExitCode> {
  return withAuthority(directory, async ({ news }) => {
    io.out(output === 'json' ? `${JSON.stringify(news)}\n` : news.roots.join(''));
    return EXIT.ok;
  });
}

export async function caTokenCreate(
  spiffeId: string,
  options: CaCommandOptions & { readonly ttl?: number },
  io: Io,
): Promise<ExitCode> {
  return withAuthority(options.directory, async (ca) => {
    const made = await new JoinTokens(ca, systemClock).create(spiffeId, options.ttl);
    if (options.output === 'json')
      io.out(`${JSON.stringify({ id: made.id, token: made.token, spiffeId, expiresAt: time(made.expiresAt) })}\n`);
    else io.out(`${made.token}\n`);
    return EXIT.ok;
  });
}

export async function caTokenList({ directory, output }: CaCommandOptions, io: Io): Promise<ExitCode> {
  return withAuthority(directory, async (ca) => {
    const tokens = await new JoinTokens(ca, systemClock).list();
    const rows = tokens.map(({ id, spiffeId, expiresAt, usedAt }) => ({
      id,
      spiffeId,
      expiresAt: time(expiresAt),
      state: usedAt === undefined ? 'good' : 'used',
    }));
    if (output === 'json') io.out(`${JSON.stringify(rows)}\n`);
    else
      io.out(
        table([
          ['ID', 'UNTIL', 'STATE', 'SPIFFE ID'],
          ...rows.map(({ id, expiresAt, state, spiffeId }) => [id, expiresAt, state, spiffeId]),
        ]),
      );
    return EXIT.ok;
  });
}

export async function caTokenRemove(id: string, { directory }: CaCommandOptions, io: Io): Promise<ExitCode> {
  return withAuthority(directory, async (ca) => {
    await new JoinTokens(ca, systemClock).remove(id);
    io.out(`removed ${id}\n`);
    return EXIT.ok;
  });
}

/** `anchor`: `<number>:<hash>` of a head that was written down. Reads only; exit code 1 when the log was tampered with. */
export async function caAuditVerify(
  options: CaCommandOptions & { readonly anchor?: string },
  io: Io,
): Promise<ExitCode> {
  const [, seq, hash] = /^(\d{1,15}):([0-9a-f]{64})$/.exec(options.anchor ?? '') ?? [];
  if (options.anchor !== undefined && (seq === undefined || hash === undefined)) {
    io.err('--anchor must be <number>:<hash>, as this command prints it\n');
    return EXIT.usage;
  }
  const anchor = seq === undefined || hash === undefined ? undefined : { seq: Number(seq), hash };
  const verdict = await verifyAudit(options.directory, anchor);
  const { problem, lines, head } = verdict;
  if (options.output === 'json') io.out(`${JSON.stringify({ ok: problem === undefined, lines, head, problem })}\n`);
  else if (problem === undefined) io.out(`${lines} lines in order, head ${head.seq}:${head.hash}\n`);
  else io.out(`${problem.file}:${problem.line}: ${problem.what} (${lines} lines before it are in order)\n`);
  return problem === undefined ? EXIT.ok : EXIT.failed;
}

/** Columns under their titles, two spaces between them. */
function table(rows: readonly (readonly string[])[]): string {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => (row[column] ?? '').length)));
  return rows
    .map(
      (row) =>
        `${row
          .map((cell, column) => cell.padEnd(widths[column] ?? 0))
          .join('  ')
          .trimEnd()}\n`,
    )
    .join('');
}
