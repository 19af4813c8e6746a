import { createPublicKey, X509Certificate } from 'node:crypto';
import { afterEach, expect, test } from 'vitest';
import type { CertificateAuthority } from '../../../src/controlplane/ca/authority.js';
import { CaError } from '../../../src/controlplane/ca/errors.js';
import { certificateRequest, newPrivateKey } from '../../../src/identity/csr.js';
import type { FakeClock } from '../../support/fake-clock.js';
import { breath, ID } from './support.js';

/** Who signs, and how he can be made to misbehave, for the contract that all of them keep. */
export interface SignerFixture {
  readonly clock: FakeClock;
  /** An authority that signs with it; the second time over the same folder, as after a restart. */
  open(): Promise<CertificateAuthority>;
  /** From now on, or, where what was read once is kept, from the next start on. `good`: as at first. */
  behave(how: string): Promise<void> | void;
}

/** A request of whoever asks the authority for a certificate, with the key that it is for. */
export async function aRequest(spiffeId = ID) {
  const key = await newPrivateKey();
  const publicKey = createPublicKey(key).export({ type: 'spki', format: 'der' });
  return { spiffeId, publicKey, csr: certificateRequest(key, { spiffeId }), by: 'test' };
}

/** What becomes of it while time goes by, where somebody waits for a time to be over. */
export async function outcome<T>(clock: FakeClock, work: Promise<T>): Promise<T | Error> {
  let ended: { readonly value: T | Error } | undefined;
  work.then(
    (value) => {
      ended = { value };
    },
    (error: Error) => {
      ended = { value: error };
    },
  );
  for (let i = 0; ended === undefined && i < 2_000; i++) {
    // Whoever answers is to have the time for it.
    if (i > 50) await clock.advance(100);
    await breath();
  }
  expect(ended).toBeDefined();
  return (ended as { readonly value: T | Error }).value;
}

const count = async (ca: CertificateAuthority): Promise<number> => {
  let records = 0;
  for await (const _ of ca.issued()) records++;
  return records;
};

/**
 * The contract of who signs for an authority: its own keys, files, or a `Signer` (src/controlplane/ca/signer.ts). Call it inside a `describe`. `ways`: of misbehaving, of the
 * fixture's; `atStart`: those, too, are noticed at the next start and not before.
 */
export function signerContract(
  make: () => Promise<SignerFixture>,
  { ways, atStart = false }: { readonly ways: readonly string[]; readonly atStart?: boolean },
): void {
  const opened: CertificateAuthority[] = [];
  afterEach(async () => {
    await Promise.all(opened.splice(0).map((ca) => ca.close()));
  });
  const openOf = async (fixture: SignerFixture): Promise<CertificateAuthority> => {
    const ca = await fixture.open();
    opened.push(ca);
    return ca;
  };

  test('certifies the key and the name that were attested, for no longer than asked for, under the roots that are trusted', async () => {
    const fixture = await make();
    const ca = await openOf(fixture);
    const asked = await aRequest();
    const { certificates } = await ca.issue({ ...asked, lifetimeMs: 3_600_000 });
    const [leaf, ...above] = certificates.map((pem) => new X509Certificate(pem));
    const key = createPublicKey({ key: Buffer.from(asked.publicKey), format: 'der', type: 'spki' });
    expect(leaf?.publicKey.equals(key)).toBe(true);
    expect(leaf?.subjectAltName).toBe(`URI:${ID}`);
    expect(leaf?.ca).toBe(false);
    expect(Date.parse(leaf?.validTo as string)).toBeLessThanOrEqual(fixture.clock.wallTime() + 3_601_000);
    const roots = ca.news.roots.map((pem) => new X509Certificate(pem));
    for (const [i, certificate] of [leaf as X509Certificate, ...above].entries()) {
      const issuers = above[i] === undefined ? roots : [above[i]];
      expect(issuers.some((issuer) => certificate.verify(issuer.publicKey))).toBe(true);
    }
  });

  test('twenty at once have each his own', async () => {
    const ca = await openOf(await make());
    const asked = await Promise.all(Array.from({ length: 20 }, () => aRequest()));
    const issued = await Promise.all(asked.map((one) => ca.issue(one)));
    for (const [i, { certificates }] of issued.entries()) {
      const own = new X509Certificate(certificates[0]).publicKey.export({ type: 'spki', format: 'der' });
      expect(Buffer.compare(own, Buffer.from(asked[i]?.publicKey as Uint8Array))).toBe(0);
    }
    expect(new Set(issued.map(({ serial }) => serial)).size).toBe(20);
    expect(await count(ca)).toBe(20);
  });

  test('goes on after the authority was started anew, under the same roots', async () => {
    const fixture = await make();
    const first = await openOf(fixture);
    const { roots } = first.news;
    await first.issue(await aRequest());
    await first.close();
    const second = await openOf(fixture);
    expect(second.news.roots).toEqual(roots);
    await second.issue(await aRequest());
    expect(await count(second)).toBe(2);
  });

  test.each(ways)('%s: nothing is issued and nothing recorded; once it is mended all is well', async (way) => {
    const fixture = await make();
    let ca = await openOf(fixture);
    await ca.issue(await aRequest());
    if (atStart) await ca.close();
    await fixture.behave(way);
    const refused = await outcome(
      fixture.clock,
      (async () => {
        if (atStart) ca = await openOf(fixture);
        return ca.issue(await aRequest());
      })(),
    );
    expect(refused).toBeInstanceOf(CaError);
    expect((refused as CaError).reason).toBe(atStart ? 'state' : 'unavailable');
    if (!atStart) expect(await count(ca)).toBe(1);
    await fixture.behave('good');
    if (atStart) {
      await ca.close();
      ca = await openOf(fixture);
    }
    await expect(ca.issue(await aRequest())).resolves.toMatchObject({ spiffeId: ID });
    expect(await count(ca)).toBe(2);
  });

  if (!ways.includes('slow')) return;
  test('closing does not wait for an answer that does not come', async () => {
    const fixture = await make();
    const ca = await openOf(fixture);
    await fixture.behave('slow');
    const asked = ca.issue(await aRequest()).catch((error: Error) => error);
    await breath();
    await ca.close();
    expect(await asked).toBeInstanceOf(CaError);
    expect(await count(ca)).toBe(0);
  });

  test('an answer that does not come holds up neither records nor revocations', async () => {
    const fixture = await make();
    const ca = await openOf(fixture);
    await fixture.behave('slow');
    const asked = ca.issue(await aRequest()).catch((error: Error) => error);
    await ca.refused({ reason: 'forbidden' });
    await ca.close();
    await asked;
  });
}
