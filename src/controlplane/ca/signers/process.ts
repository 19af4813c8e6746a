import { spawn } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import type { Clock } from '../../../core/clock.js';
import { systemClock } from '../../../core/clock.js';
import { CaError } from '../errors.js';
import type { Signer } from '../signer.js';
import { certificatesIn, certificatesOf } from '../x509/chain.js';

export interface ProcessSignerOptions {
  /** Program and its arguments; run without a shell, once for each certificate. */
  readonly command: readonly [string, ...string[]];
  /** PEM file of the roots that its chains end in. */
  readonly roots: string;
  /** A program that has not ended by then is ended, in milliseconds. Default 10 s. */
  readonly timeoutMs?: number;
  readonly clock?: Clock;
}

const TIMEOUT_MS = 10_000;
/** Output that is read; a chain is some kB. */
const MAX_OUTPUT = 65_536;

/**
 * Signs with a program: the CSR in PEM on its standard input, the chain in PEM, leaf first, on its standard output. What to certify is in its environment:
 * `INMESH_SPIFFE_ID`, `INMESH_DNS` and `INMESH_IPS` (comma between), `INMESH_NOT_BEFORE` and `INMESH_NOT_AFTER` (seconds since 1970). An exit code other than 0 is a refusal.
 */
export function processSigner({
  command,
  roots,
  timeoutMs = TIMEOUT_MS,
  clock = systemClock,
}: ProcessSignerOptions): Signer {
  const [program, ...args] = command;
  const running = new Set<() => void>();
  return {
    name: `process ${program}`,
    async sign({ csr, spiffeId, dns, ips, notBefore, notAfter }) {
      if (csr === undefined) throw new CaError('state', `process ${program} signs CSRs only`);
      const seconds = (at: number): string => String(Math.floor(at / 1_000));
      const asked = {
        INMESH_SPIFFE_ID: spiffeId,
        INMESH_DNS: dns.join(),
        INMESH_IPS: ips.join(),
        INMESH_NOT_BEFORE: seconds(notBefore),
        INMESH_NOT_AFTER: seconds(notAfter),
      };
      const output = await new Promise<string>((resolve, reject) => {
        const child = spawn(program, args, { env: { ...process.env, ...asked }, stdio: ['pipe', 'pipe', 'pipe'] });
        const failed = (why: string): void => {
          child.kill('SIGKILL');
          reject(new CaError('unavailable', `process ${program}: ${why}`, 1_000));
        };
        const stop = (): void => failed('the authority is closing');
        running.add(stop);
        const cancel = clock.after(timeoutMs, () => failed(`no certificate within ${timeoutMs} ms`));
        let text = '';
        let complaint = '';
        child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
          text += chunk;
          if (text.length > MAX_OUTPUT) failed(`more than ${MAX_OUTPUT} bytes of output`);
        });
        child.stderr.setEncoding('utf8').on('data', (chunk: string) => {
          complaint = (complaint + chunk).slice(0, 200);
        });
        // It may end without having read.
        child.stdin.on('error', () => {});
        child.on('error', (error) => failed(error.message));
        child.on('close', (code) => {
          cancel();
          running.delete(stop);
          if (code === 0) resolve(text);
          else failed(`it ended with ${code}${complaint === '' ? '' : `: ${complaint.trim()}`}`);
        });
        child.stdin.end(csr);
      });
      const [leaf, ...others] = certificatesIn(output);
      if (leaf === undefined) throw new CaError('unavailable', `process ${program}: no certificate in its output`);
      return [leaf, ...others];
    },
    roots: async () => certificatesOf(await readFile(roots, 'utf8')),
    async close() {
      for (const stop of running) stop();
    },
  };
}
