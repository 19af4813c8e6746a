import { afterEach, describe, expect, test } from 'vitest';
import type { CertificateAuthority } from '../../../src/controlplane/ca/authority.js';
import type { Signer } from '../../../src/controlplane/ca/signer.js';
import { verifyAudit } from '../../../src/controlplane/ca/store/audit-verify.js';
import { CaServer } from '../../../src/controlplane/ca/server.js';
import { silentLogger } from '../../../src/core/log.js';
import { seededRandom } from '../../../src/core/random.js';
import { caIdentity } from '../../../src/identity/sources/ca.js';
import { FakeClock } from '../../support/fake-clock.js';
import { Mailbox } from '../../support/mailbox.js';
import { authorities, breath, ID, request } from './support.js';

const { open, folder, closeAll, clock } = authorities();
afterEach(closeAll);

/** A signer with an authority of ours behind it. */
function signerOver(behind: CertificateAuthority): Signer {
  return {
    name: 'test signer',
    sign: async ({ spiffeId, dns, ips, publicKey }) =>
      (await behind.issue({ spiffeId, dns, ips, publicKey, lifetimeMs: 3_600_000, by: 'signer' })).certificates,
    roots: async () => behind.news.roots,
    close: async () => {},
  };
}

/** One that keeps a list as well. */
function listingSigner(behind: CertificateAuthority, revoke: Signer['revoke'] = async () => {}): Signer {
  return {
    ...signerOver(behind),
    async revoke(serial, reason) {
      await revoke?.(serial, reason);
      await behind.revoke(serial, reason);
    },
    crls: async () => [behind.news.crls[1] as string],
  };
}

const down = async (): Promise<never> => {
  throw new Error('the signer is down');
};

async function until(what: () => boolean): Promise<void> {
  for (let i = 0; i < 500 && !what(); i++) await breath();
  expect(what()).toBe(true);
}

describe('a revocation', () => {
  test('is refused where the signer keeps no list: nobody would heed it', async () => {
    const behind = await open();
    const ca = await open({ signer: signerOver(behind) });
    const { serial } = await ca.issue(request());
    await expect(ca.revoke(serial)).rejects.toThrow(/test signer keeps no revocation list/);
    expect(ca.isRevoked(serial)).toBe(false);
  });

  test('that the signer could not be told of is refused, bars renewal from then on, and is told when asked for again', async () => {
    const behind = await open();
    let reachable = false;
    const ca = await open({ signer: listingSigner(behind, async () => void (reachable || (await down()))) });
    const { serial } = await ca.issue(request());
    await expect(ca.revoke(serial)).rejects.toThrow(/signer is down/);
    expect(ca.isRevoked(serial)).toBe(true);
    expect(behind.isRevoked(serial)).toBe(false);
    reachable = true;
    await ca.revoke(serial);
    expect(behind.isRevoked(serial)).toBe(true);
    expect(ca.news.crls).toEqual([behind.news.crls[1]]);
  });

  test('in one process brings the new list of the signer to the others that share the folder', async () => {
    const behind = await open();
    const directory = folder();
    const signer = listingSigner(behind);
    const [one, other] = [await open({ directory, signer }), await open({ directory, signer })];
    const { serial } = await one.issue(request());
    await one.revoke(serial);
    await until(() => other.news.crls[0] === behind.news.crls[1]);
    expect(other.isRevoked(serial)).toBe(true);
  });

  test('asks the signer while others may go on: the lock of the folder is free', async () => {
    const behind = await open();
    const directory = folder();
    let inTime = false;
    const other: { ca?: CertificateAuthority } = {};
    const signer = listingSigner(behind, async () => {
      await other.ca?.refused({ reason: 'forbidden' });
      inTime = true;
    });
    const ca = await open({ directory, signer });
    other.ca = await open({ directory, signer });
    const { serial } = await ca.issue(request());
    await ca.revoke(serial);
    expect(inTime).toBe(true);
  });
});

describe('while the signer is away', () => {
  test('an authority that knows its roots and lists starts, and asks again until it is back', async () => {
    const behind = await open();
    const directory = folder();
    const first = await open({ directory, signer: listingSigner(behind) });
    const { serial } = await first.issue(request());
    await first.revoke(serial);
    await first.close();

    let away = true;
    const signer = listingSigner(behind);
    const ca = await open({
      directory,
      signer: {
        ...signer,
        roots: () => (away ? down() : signer.roots()),
        crls: () => (away ? down() : (signer.crls?.() ?? down())),
      },
    });
    expect(ca.news).toMatchObject({ roots: behind.news.roots, crls: [behind.news.crls[1]] });
    const later = await behind.issue(request());
    await behind.revoke(later.serial);
    away = false;
    await clock.advance(30_001);
    await until(() => ca.news.crls[0] === behind.news.crls[1]);
  });

  test('one that has never heard of them does not start', async () => {
    const signer = { ...signerOver(await open()), roots: down };
    await expect(open({ signer })).rejects.toThrow(/signer is down/);
  });
});

test('a server closes in five seconds although the signer does not answer, and tells the workload nothing of it', async () => {
  const clock = new FakeClock(0, Date.now());
  const near = authorities(clock);
  const behind = await near.open();
  const asked = new Mailbox<void>();
  const gone = new Mailbox<void>();
  const signer: Signer = {
    ...signerOver(behind),
    async sign(request) {
      if (request.spiffeId !== ID) return signerOver(behind).sign(request);
      asked.put();
      await gone.take();
      throw new Error('the key is in the safe of the third floor');
    },
    close: async () => gone.put(),
  };
  const listen = { host: '127.0.0.1', port: 0 };
  const env = { clock, random: seededRandom(1), logger: silentLogger };
  const server = await CaServer.open({ directory: near.folder(), signer }, listen, env);
  const port = await server.listen(listen);
  const { token } = await server.tokens.create(ID);
  const source = caIdentity({ ...env, address: `127.0.0.1:${port}`, spiffeId: ID, token: async () => token });
  const told = new Promise<string>((resolve) =>
    source.watch({ changed() {}, failed: ({ message }) => resolve(message) }),
  );
  await asked.take();
  let closed = false;
  const closing = server.close().then(() => {
    closed = true;
  });
  await clock.advance(4_999);
  await breath();
  expect(closed).toBe(false);
  await clock.advance(1);
  expect(await told).not.toContain('safe');
  await closing;
  await source.close();
  await near.closeAll();
});

test('the first line of the records says which signer signs', async () => {
  const ca = await open({ signer: signerOver(await open()) });
  expect(await verifyAudit(ca.directory)).toMatchObject({ lines: 1, problem: undefined });
});
