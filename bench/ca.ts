/*
 * How many certificates does the authority issue, recorded on the disk and in the audit log? By kind of its key; and a workload's whole request (CSR read, proof of possession
 * checked, its turn waited for) out of 10,000 that come at once, with how late the event loop was meanwhile.
 */
import { createPublicKey, type KeyObject } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { CertificateAuthority } from '../src/controlplane/ca/authority.js';
import { Certifier } from '../src/controlplane/ca/service/certify.js';
import { DEFAULT_QUEUE, SigningQueue } from '../src/controlplane/ca/service/queue.js';
import type { KeyAlgorithm } from '../src/controlplane/ca/x509/algorithms.js';
import { systemClock } from '../src/core/clock.js';
import { silentLogger } from '../src/core/log.js';
import { certificateRequest, newPrivateKey } from '../src/identity/csr.js';
import { compareRate, report, SMOKE } from './lib/compare.js';

const key = await newPrivateKey();
const spki = (of: KeyObject): Buffer => createPublicKey(of).export({ type: 'spki', format: 'der' });
const publicKey = spki(key);
const idOf = (i: number): string => `spiffe://cluster.local/ns/default/sa/web-${i}`;

async function authority(algorithm: KeyAlgorithm) {
  const directory = mkdtempSync(join(tmpdir(), 'inmesh-bench-ca-'));
  const ca = await CertificateAuthority.open({ directory, algorithm });
  const close = async (): Promise<void> => {
    await ca.close();
    rmSync(directory, { recursive: true });
  };
  return { ca, close };
}

const kinds = ['ecdsa-p256', 'ed25519', 'rsa-2048'] as const;
const issued = await compareRate({
  question: 'Certificates issued, by the key of the authority',
  sides: kinds.map((algorithm) => ({
    name: algorithm,
    async open() {
      const { ca, close } = await authority(algorithm);
      return { once: () => ca.issue({ spiffeId: idOf(0), publicKey, by: 'bench' }), close };
    },
  })),
  concurrency: 16,
  perRun: 400,
  runs: 3,
});
report(issued);

// Once: it is a burst.
const count = SMOKE ? 50 : 10_000;
const { ca, close } = await authority('ecdsa-p256');
const queue = new SigningQueue(systemClock, DEFAULT_QUEUE);
const attestors = [
  {
    name: 'bench',
    attest: async ({ token = '' }) => ({ by: token, spiffeId: token, allows: () => true }),
  },
];
const certifier = new Certifier({ authority: ca, attestors, queue, clock: systemClock, logger: silentLogger });
const csr = certificateRequest(key, {});
const late = monitorEventLoopDelay({ resolution: 5 });
late.enable();
const from = systemClock.now();
let first = 0;
await Promise.all(
  Array.from({ length: count }, async (_, i) => {
    await certifier.certify(
      { csr, validitySeconds: 0 },
      { token: idOf(i), peer: undefined },
      `10.0.${i >> 8}.${i & 255}`,
    );
    first ||= systemClock.now() - from;
  }),
);
const seconds = (systemClock.now() - from) / 1_000;
late.disable();
console.log(
  `${count} requests at once: ${Math.round(count / seconds)} a second; the first after ${first.toFixed(0)} ms; ` +
    `event loop late by ${(late.percentile(99) / 1e6).toFixed(0)} ms (p99), ${(late.max / 1e6).toFixed(0)} ms at most`,
);
await queue.close();
await close();
