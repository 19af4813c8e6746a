import { createPublicKey } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { ATTEST_MS } from '../../../src/controlplane/ca/attestation/attest.js';
import type { Attested, Attestor, Evidence } from '../../../src/controlplane/ca/attestation/attestor.js';
import type { CertificateAuthority } from '../../../src/controlplane/ca/authority.js';
import { CaError } from '../../../src/controlplane/ca/errors.js';
import { Certifier } from '../../../src/controlplane/ca/service/certify.js';
import { DEFAULT_QUEUE, SigningQueue } from '../../../src/controlplane/ca/service/queue.js';
import type { Clock } from '../../../src/core/clock.js';
import type { PeerIdentity } from '../../../src/core/identity.js';
import type { Logger } from '../../../src/core/log.js';
import { certificateRequest, newPrivateKey } from '../../../src/identity/csr.js';
import type { FakeClock } from '../../support/fake-clock.js';
import { ID } from './support.js';

/** What a way of attestation can be shown, for the contract that all of them keep. */
export interface AttestorFixture {
  readonly authority: CertificateAuthority;
  readonly clock: FakeClock;
  readonly attestor: Attestor;
  /** Evidence that is good for `ID` and nothing else; each time anew. */
  good(): Promise<Evidence>;
  /** Evidence of this kind that will not do. */
  readonly bad: Readonly<Record<string, () => Promise<Evidence>>>;
  /** Good evidence that is worthless by the time the certificate is to be recorded: spent by another, or revoked. Absent: nothing can come between. */
  overtaken?(): Promise<{ readonly evidence: Evidence; overtake(attested: Attested): Promise<void> }>;
}

export const nothing: Evidence = { token: undefined, peer: undefined };
/** A key that nobody else has. */
const A_KEY = Buffer.from('a key');
export const tokenOf = (token: string): Evidence => ({ ...nothing, token });

/** The verified certificate of a connection, as the TLS port tells of it. */
export async function certified(authority: CertificateAuthority, spiffeId = ID): Promise<Evidence> {
  const key = await newPrivateKey();
  const publicKey = createPublicKey(key).export({ type: 'spki', format: 'der' });
  const { serial } = await authority.issue({ spiffeId, publicKey, by: 'test' });
  const { trustDomain } = authority;
  return { ...nothing, peer: { spiffeId, trustDomain, serialNumber: serial.toUpperCase() } as PeerIdentity };
}

/** Names that are like `ID` and are not. */
const OTHERS = [
  'spiffe://cluster.local/ns/default/sa/webs',
  'spiffe://cluster.local/ns/default/sa/we',
  'spiffe://cluster.local/ns/default/sa/web/x',
  'spiffe://cluster.local/ns/default/sa/Web',
  'spiffe://cluster.local/ns/default/sa',
  'spiffe://cluster.local/ns/other/sa/web',
  'spiffe://cluster.local/ns/inmesh/sa/control-plane',
  'spiffe://elsewhere.example/ns/default/sa/web',
  'spiffe://cluster.local.example/ns/default/sa/web',
  '',
];

function listening(): { readonly logger: Logger; told(): string } {
  const lines: string[] = [];
  const tell = (message: string, fields?: object): void => void lines.push(`${message} ${JSON.stringify(fields)}`);
  return { logger: { debug: tell, info: tell, warn: tell, error: tell }, told: () => lines.join('\n') };
}

/** Asks with attestors beside the one that is tested. */
async function certifierOf(
  { authority, clock }: Pick<AttestorFixture, 'authority' | 'clock'>,
  attestors: readonly Attestor[],
): Promise<{ ask(evidence: Evidence): Promise<readonly string[]>; told(): string }> {
  const queue = new SigningQueue(clock, DEFAULT_QUEUE);
  const { logger, told } = listening();
  const certifier = new Certifier({ authority, attestors, queue, clock: clock as Clock, logger });
  const csr = certificateRequest(await newPrivateKey(), { spiffeId: ID });
  return {
    ask: async (evidence) => (await certifier.certify({ csr, validitySeconds: 0 }, evidence, '10.0.0.1')).chain,
    told: () => `${told()}\n${readFileSync(join(authority.directory, 'audit.jsonl'), 'utf8')}`,
  };
}

const refusal = (attestor: Attestor, evidence: Evidence): Promise<unknown> =>
  attestor.attest(evidence).then(
    (attested) => attested,
    (error: unknown) => error,
  );

/**
 * The contract of an `Attestor` (src/controlplane/ca/attestation/attestor.ts). Call it inside a `describe`. `bad`: names of the fixture's evidence that will not do;
 * `overtaken`: it has some that something can come between.
 */
export function attestorContract(
  make: () => Promise<AttestorFixture>,
  { bad, overtaken }: { readonly bad: readonly string[]; readonly overtaken: boolean },
): void {
  test('evidence of another kind is for somebody else to judge', async () => {
    const { attestor, authority, good } = await make();
    const own = await good();
    const kinds = [
      nothing,
      ...['', 'x', 'a.b', '...', `${'0'.repeat(12)}.${'A'.repeat(43)}`, 'x'.repeat(100_000)].map(tokenOf),
      ...(own.peer === undefined ? [await certified(authority)] : [tokenOf('a.b.c')]),
    ];
    for (const kind of kinds) expect(await attestor.attest(kind)).toBeUndefined();
  });

  test('good evidence allows its name, and no other', async () => {
    const { attestor, good } = await make();
    const attested = (await attestor.attest(await good())) as Attested;
    expect([ID, undefined]).toContain(attested.spiffeId);
    expect(attested.allows(ID)).toBe(true);
    for (const other of OTHERS) expect([other, attested.allows(other)]).toEqual([other, false]);
  });

  test('good evidence gets its certificate, and the records say by what', async () => {
    const fixture = await make();
    const { ask } = await certifierOf(fixture, [fixture.attestor]);
    const evidence = await fixture.good();
    const attested = (await fixture.attestor.attest(evidence)) as Attested;
    await expect(ask(evidence)).resolves.toHaveLength(3);
    const by = [];
    for await (const record of fixture.authority.issued()) by.push(record.by);
    expect(by.at(-1)).toBe(attested.by);
    if (evidence.token !== undefined) expect(attested.by).not.toContain(evidence.token);
  });

  test.each(bad)(
    'evidence that is %s is refused, and neither error nor log nor records have any of it',
    async (which) => {
      const fixture = await make();
      const evidence = await (fixture.bad[which] as () => Promise<Evidence>)();
      const error = await refusal(fixture.attestor, evidence);
      expect(error).toBeInstanceOf(CaError);
      expect(['unauthenticated', 'forbidden']).toContain((error as CaError).reason);
      const { ask, told } = await certifierOf(fixture, [fixture.attestor]);
      const answer = await ask(evidence).catch((reason: unknown) => reason);
      expect(answer).toMatchObject({ reason: (error as CaError).reason });
      // Whole, or the part of it that is the secret: a signature, or what was drawn by lot.
      const secrets =
        evidence.token === undefined
          ? []
          : [evidence.token, ...evidence.token.split('.').filter((part) => part.length > 40)];
      for (const secret of secrets) expect(`${String(answer)} ${told()}`).not.toContain(secret);
      for await (const record of fixture.authority.issued()) expect(record.by).toBe('test');
    },
  );

  test('many at once get each his own answer', async () => {
    const { attestor, good, bad: wrong } = await make();
    const makers = Array.from(
      { length: 20 },
      (_, i) => [i % 2 === 0, i % 2 === 0 ? good : Object.values(wrong)[i % bad.length]] as const,
    );
    const shown = await Promise.all(makers.map(async ([isGood, maker]) => [isGood, await maker?.()] as const));
    const ended = await Promise.all(shown.map(([, evidence]) => refusal(attestor, evidence as Evidence)));
    expect(ended.map((one) => !(one instanceof CaError))).toEqual(shown.map(([isGood]) => isGood));
  });

  test.each<readonly [string, number, Attestor['attest']]>([
    ['throws', 0, () => Promise.reject(new TypeError('x is not a function'))],
    [
      'throws at once',
      0,
      () => {
        throw new TypeError('x is not a function');
      },
    ],
    ['hangs', ATTEST_MS, () => new Promise(() => {})],
  ])('another attestor that %s stands in nobody’s way, and is told of', async (_, lateMs, attest) => {
    const fixture = await make();
    const { clock } = fixture;
    const { ask, told } = await certifierOf(fixture, [{ name: 'broken', attest }, fixture.attestor]);
    const asked = Promise.all([ask(await fixture.good()), ask(await fixture.good())]);
    await clock.advance(lateMs);
    await expect(asked).resolves.toHaveLength(2);
    expect(told()).toContain('"attestor":"broken"');
    // Who shows what only that one may know is not refused: he may come again.
    const unknown = ask(tokenOf('x'));
    const ended = expect(unknown).rejects.toMatchObject({ reason: 'unavailable', retryAfterMs: 5_000 });
    await clock.advance(lateMs);
    await ended;
  });

  if (!overtaken) return;
  test('what became worthless while it waited gets no certificate', async () => {
    const fixture = await make();
    const made = await fixture.overtaken?.();
    if (made === undefined) throw new Error('the fixture has none');
    const attested = (await fixture.attestor.attest(made.evidence)) as Attested;
    await made.overtake(attested);
    await expect(
      fixture.authority.noted((turn) => attested.meanwhile?.(turn, ID, A_KEY) ?? Promise.resolve()),
    ).rejects.toMatchObject({ reason: 'unauthenticated' });
  });
}
