import { X509Certificate } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { checkCsr } from '../../../src/controlplane/ca/x509/csr.js';
import type { IdentitySource, SecretWatcher } from '../../../src/core/identity.js';
import { seededRandom } from '../../../src/core/random.js';
import { type CaIdentityOptions, caIdentity } from '../../../src/identity/sources/ca.js';
import { RENEWAL_TIMEOUT_MS } from '../../../src/identity/renewal.js';
import type { RpcConnection } from '../../../src/identity/rpc/connection.js';
import { FakeClock } from '../../support/fake-clock.js';
import { testCa } from '../../support/pki.js';
import { ScriptedCa } from '../../support/scripted-ca.js';
import { identitySourceContract, recorder } from '../source-contract.js';

const WEB = 'spiffe://cluster.local/ns/default/sa/web';
const HOUR = 3_600_000;

/** Time that begins now, as TLS itself has no other clock than the system's, and that knows whether a request is under way: its time limit is set. */
class RenewalClock extends FakeClock {
  /** How far the wall clock was set on. */
  aheadMs = 0;
  #underWay = 0;

  constructor() {
    super(0, Date.now());
  }

  get busy(): boolean {
    return this.#underWay > 0;
  }

  override wallTime(): number {
    return super.wallTime() + this.aheadMs;
  }

  override after(delayMs: number, task: () => void): () => void {
    if (delayMs !== RENEWAL_TIMEOUT_MS) return super.after(delayMs, task);
    this.#underWay++;
    let over = false;
    const end = (): void => {
      if (!over) this.#underWay--;
      over = true;
    };
    const cancel = super.after(delayMs, () => {
      end();
      task();
    });
    return () => {
      end();
      cancel();
    };
  }

  /** Goes on, but not while a request is under way: sockets and keys are real, and take what they take. */
  async step(ms: number): Promise<void> {
    await breath();
    if (!this.busy) await this.advance(ms);
  }
}
const breath = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 1));

describe('a CA', () => {
  identitySourceContract(
    async () => {
      const clock = new RenewalClock();
      const ca = await ScriptedCa.start(() => clock.wallTime());
      ca.refusal = { code: 14, details: 'it has nothing yet' };
      const options = { address: ca.address, spiffeId: WEB, clock, random: seededRandom(1), roots: [ca.ca.root] };
      const source = caIdentity({ ...options, token: async () => 'token' });
      let given = false;
      return {
        source,
        async give() {
          if (given && ca.refusal === undefined) await clock.advance(HOUR * 0.485);
          ca.refusal = undefined;
          given = true;
        },
        async trouble() {
          ca.refusal = { code: 14, details: 'the CA is out of order' };
          await clock.advance(HOUR * 0.485);
        },
        async wait() {
          await clock.step(100);
        },
        async end() {
          ca.stop();
          expect(clock.pending).toBe(0);
        },
      };
    },
    { ownKey: true },
  );

  let clock: RenewalClock;
  let ca: ScriptedCa;
  const sources: IdentitySource[] = [];
  beforeEach(async () => {
    clock = new RenewalClock();
    ca = await ScriptedCa.start(() => clock.wallTime() - clock.aheadMs);
  });
  afterEach(async () => {
    await Promise.all(sources.splice(0).map((it) => it.close()));
    ca.stop();
    expect(clock.pending).toBe(0);
  });

  function joined(options: Partial<CaIdentityOptions> = {}) {
    const token = async (): Promise<string> => `abc.secret.${ca.pin}`;
    const source = caIdentity({
      address: ca.address,
      spiffeId: WEB,
      token,
      clock,
      random: seededRandom(1),
      ...options,
    });
    sources.push(source);
    const told = recorder();
    source.watch(told);
    const until = async (holds: () => boolean, stepMs = 100): Promise<void> => {
      for (let i = 0; i < 2_000 && !holds(); i++) {
        await clock.step(stepMs);
      }
      expect(holds(), told.errors.map(({ message }) => message).join('\n')).toBe(true);
    };
    return { source, told, until };
  }

  test('that a join token names is found by the fingerprint of its root, and gets the token', async () => {
    const { told, until } = joined();
    await until(() => told.states.length > 0);
    expect(told.states[0]).toMatchObject({ identity: { spiffeId: WEB }, trust: ca.ca.trust(), crls: [] });
    expect(ca.asked).toMatchObject([{ authorization: `Bearer abc.secret.${ca.pin}`, request: { validitySeconds: 0 } }]);
    expect(told.errors).toEqual([]);
  });

  test('that is not the one that made the join token never sees it', async () => {
    const pin = '0'.repeat(64);
    const { told, until } = joined({ token: async () => `abc.secret.${pin}` });
    await until(() => told.errors.length > 0);
    expect(told.errors[0]?.message).toMatch(/not the CA that made it/);
    expect(ca.asked).toEqual([]);
  });

  test('whose server is somebody else of the same trust domain never sees the token', async () => {
    const other = await ScriptedCa.start(() => clock.wallTime(), {
      ca: ca.ca,
      serverId: 'spiffe://cluster.local/ns/default/sa/web',
    });
    const { told, until } = joined({ address: other.address });
    await until(() => told.errors.length > 0);
    expect(other.asked).toEqual([]);
    other.stop();
  });

  test('is known by its DNS name where that is what it has, as istiod', async () => {
    const istiod = await ScriptedCa.start(() => clock.wallTime(), {
      ca: ca.ca,
      serverId: 'spiffe://cluster.local/istiod',
    });
    const options = { address: istiod.address, roots: [ca.ca.root], token: async () => 'kubernetes.token' };
    const good = joined({ ...options, serverName: 'control-plane' });
    await good.until(() => good.told.states.length > 0);
    const bad = joined({ ...options, serverName: 'istiod.istio-system.svc' });
    await bad.until(() => bad.told.errors.length > 0);
    expect(istiod.asked).toHaveLength(1);
    istiod.stop();
  });

  test('is asked for the next certificate at half of the life, under the one that there is, with a new key', async () => {
    const { told, until } = joined({ lifetimeMs: HOUR });
    await until(() => told.states.length > 0);
    const first = told.states[0]?.identity;
    await clock.advance(HOUR * 0.48);
    expect(ca.asked).toHaveLength(1);
    await until(() => told.states.length > 1);
    const second = told.states[1]?.identity;
    expect(ca.asked[1]).toMatchObject({ authorization: undefined, request: { validitySeconds: 3_600 } });
    expect(ca.asked[1]?.shown).toBeDefined();
    expect(second?.privateKey.equals(first?.privateKey as never)).toBe(false);
    expect(second?.notAfter).toBeGreaterThan(first?.notAfter ?? 0);
  });

  test('that is down for half of the time costs nothing but trouble told: what there is stands, and is renewed before it ends', async () => {
    const { source, told, until } = joined();
    await until(() => told.states.length > 0);
    for (let round = 0; round < 12; round++) {
      ca.refusal = round % 2 === 0 ? { code: 14, details: 'down' } : undefined;
      // A quarter of a life each.
      for (let i = 0; i < 60; i++) {
        await clock.advance(HOUR / 240);
        while (clock.busy) await breath();
        expect(source.current?.identity?.notAfter).toBeGreaterThan(clock.wallTime());
      }
    }
    expect(told.states.length).toBeGreaterThan(4);
    expect(told.errors.length).toBeGreaterThan(5);
  });

  test('that does not believe the identity that there is any more is shown a token instead', async () => {
    const { told, until } = joined();
    await until(() => told.states.length > 0);
    ca.refusal = { code: 16, details: 'revoked: join anew' };
    await clock.advance(HOUR * 0.485);
    await until(() => told.errors.length > 0);
    ca.refusal = undefined;
    await until(() => told.states.length > 1);
    expect(ca.asked.map(({ authorization }) => authorization !== undefined)).toEqual([true, false, true]);
  });

  test('is shown the certificate that there is, and no token, when the wall clock is set on past its end', async () => {
    const { told, until } = joined();
    await until(() => told.states.length > 0);
    clock.aheadMs = 3 * HOUR;
    await until(() => told.states.length > 1, 10_000);
    // What it gives has ended as well, by this clock.
    await until(() => told.states.length > 2, 10_000);
    expect(told.errors).toEqual([]);
    expect(ca.asked.map(({ authorization }) => authorization !== undefined)).toEqual([true, false, false]);
    expect(ca.asked[1]?.shown).toBeDefined();
  });

  test('that does not take a certificate that has ended is shown the token in turns, and then nothing else', async () => {
    const { told, until } = joined();
    await until(() => told.states.length > 0);
    clock.aheadMs = 3 * HOUR;
    // As of a server that ends the handshake.
    ca.refusal = { code: 14, details: 'bad certificate' };
    await until(() => told.errors.length > 1, 10_000);
    ca.refusal = undefined;
    await until(() => told.states.length > 1, 10_000);
    expect(ca.asked.map(({ authorization }) => authorization !== undefined)).toEqual([true, false, true, false]);
    expect(ca.asked.map(({ shown }) => shown !== undefined)).toEqual([false, true, false, true]);
  });

  test('and no token to be had is no reason to show no certificate any more', async () => {
    let text: string | undefined = `abc.secret.${ca.pin}`;
    const { told, until } = joined({ token: async () => text });
    await until(() => told.states.length > 0);
    text = 'two words';
    ca.refusal = { code: 16, details: 'not now' };
    await clock.advance(HOUR * 0.485);
    await until(() => told.errors.length > 1);
    ca.refusal = undefined;
    await until(() => told.states.length > 1);
    expect(ca.asked.at(-1)).toMatchObject({ authorization: undefined });
  });

  test('whose server was revoked is not believed any more: neither for the next certificate nor for secrets', async () => {
    let watcher: SecretWatcher | undefined;
    const names: string[] = [];
    const connections: RpcConnection[] = [];
    const { told, until } = joined({
      secrets: (connection) => (name, it) => {
        names.push(name);
        watcher = it;
        connections.push(connection);
        const stop = connection.serverStream('/secret/discovery', new Uint8Array(), { message() {}, ended() {} });
        return () => {
          names.push('stopped');
          stop();
        };
      },
    });
    await until(() => told.states.length > 0);
    // It is connected to, and does not know the method.
    await expect(connections[0]?.unary('/secret/discovery', new Uint8Array(), 5_000)).rejects.toThrow(/status 12/);
    const trust = ca.ca.trust();
    watcher?.changed({ kind: 'validation', trust, crls: [ca.ca.crl([ca.ca.issue().serial])] });
    await breath();
    expect(names).toEqual(['ROOTCA']);
    watcher?.changed({ kind: 'validation', trust, crls: [ca.ca.crl([ca.identity.serial])] });
    await until(() => names.length > 1);
    expect(names).toEqual(['ROOTCA', 'stopped', 'ROOTCA']);
    await expect(connections[0]?.unary('/secret/discovery', new Uint8Array(), 5_000)).rejects.toThrow(/revoked/);
    // A list that cannot be read takes back nothing.
    watcher?.changed({ kind: 'validation', trust, crls: ['-----BEGIN X509 CRL-----\nMAA=\n-----END X509 CRL-----\n'] });
    const before = told.errors.length;
    await clock.advance(HOUR * 0.485);
    await until(() => told.errors.length > before);
    expect(told.errors.at(-1)?.message).toMatch(/revoked/);
    expect(ca.asked).toHaveLength(1);
  });

  test('that refuses the token is an identity that is refused, with its reason and what to do; one that is away or busy is not', async () => {
    for (const code of [14, 8, 4]) {
      ca.refusal = { code, details: 'not now' };
      const { told, source, until } = joined();
      await until(() => told.errors.length > 0);
      expect(told.errors[0]).toMatchObject({ reason: 'unavailable', message: expect.stringContaining('not now') });
      await source.close();
    }
    ca.refusal = { code: 16, details: 'the join token was used before' };
    const { told, until } = joined();
    await until(() => told.errors.length > 1);
    expect(told.errors[0]).toMatchObject({
      reason: 'refused',
      message:
        `ca ${ca.address} refused: the join token was used before; make a new join token where the authority is (inmesh ca token create ${WEB}), and give it to this ` +
        'workload: in the file of INMESH_JOIN_TOKEN_FILE, which is read at each attempt, or at its next start',
    });
    ca.refusal = undefined;
    await until(() => told.states.length > 0);
  });

  test('that refuses a token of another kind, as of Kubernetes, is not answered with a join token', async () => {
    ca.refusal = { code: 16, details: 'no such service account' };
    const { told, until } = joined({ token: async () => 'kubernetes.token', roots: [ca.ca.root] });
    await until(() => told.errors.length > 0);
    expect(told.errors[0]?.message).toBe(`ca ${ca.address} refused: no such service account`);
  });

  test('whose list has the certificate that there is: that is said at once, and a new token is good for the next one', async () => {
    let watcher: SecretWatcher | undefined;
    let token: string | undefined;
    const { source, told, until } = joined({
      token: async () => token ?? `abc.spent.${ca.pin}`,
      secrets: () => (_, it) => {
        watcher = it;
        return () => {};
      },
    });
    await until(() => told.states.length > 0);
    const chain = source.current?.identity?.certificates.join('') ?? '';
    const serial = new X509Certificate(chain).serialNumber;
    const list = (of: Uint8Array): void =>
      watcher?.changed({ kind: 'validation', trust: ca.ca.trust(), crls: [ca.ca.crl([of])] });
    list(ca.ca.issue().serial);
    expect(told.errors).toEqual([]);
    ca.refusal = { code: 16, details: 'the join token was used before' };
    list(Buffer.from(serial, 'hex'));
    expect(told.errors[0]).toMatchObject({ reason: 'revoked', message: expect.stringContaining(serial) });
    expect(told.errors[0]?.message).toMatch(/was revoked, and is not renewed .*inmesh ca token create/);
    expect(source.current?.identity).toBeDefined();
    await until(() => ca.asked.length > 1);
    // Under its own name it would not be let in.
    expect(ca.asked[1]).toMatchObject({ authorization: `Bearer abc.spent.${ca.pin}`, shown: undefined });
    await until(() => told.errors.length > 1);
    expect(told.errors[1]).toMatchObject({ reason: 'revoked', message: expect.stringContaining('used before') });
    ca.refusal = undefined;
    token = `abc.fresh.${ca.pin}`;
    const before = told.states.length;
    await until(() => told.states.length > before, 1_000);
    expect(ca.asked.at(-1)?.authorization).toBe(`Bearer abc.fresh.${ca.pin}`);
    const errors = told.errors.length;
    list(Buffer.from(serial, 'hex'));
    expect(told.errors).toHaveLength(errors);
  });

  test('is asked with the same key until there is a certificate for it: an answer that was lost has used up the token', async () => {
    ca.refusal = { code: 14, details: 'the answer was lost' };
    const { told, until } = joined();
    await until(() => told.errors.length > 1);
    ca.refusal = undefined;
    await until(() => told.states.length > 0);
    await clock.advance(HOUR * 0.48);
    await until(() => told.states.length > 1);
    const keys = ca.asked.map(({ request }) => Buffer.from(checkCsr(request.csr).publicKey).toString('base64'));
    expect(keys.length).toBeGreaterThan(3);
    expect(new Set(keys.slice(0, -1)).size).toBe(1);
    expect(keys.at(-1)).not.toBe(keys[0]);
  });

  test('that answers with what was not asked for has given nothing', async () => {
    const foreign = testCa();
    const answers: [(key: never) => readonly string[], RegExp][] = [
      [() => [], /without a certificate|malformed/],
      [() => [ca.ca.root], /without a certificate and its root/],
      [() => [...ca.ca.issue().certificates, ca.ca.root], /not that of the certificate/],
      [
        (publicKey) => [...ca.ca.issue({ publicKey, name: 'admin' }).certificates, ca.ca.root],
        /of spiffe:.*admin, not of/,
      ],
      [() => ['no PEM', foreign.root], /without a certificate and its root/],
    ];
    for (const [answer, why] of answers) {
      ca.answer = answer as never;
      const { told, source, until } = joined();
      await until(() => told.errors.length > 0);
      expect(told.errors[0]?.message).toMatch(why);
      expect(source.current).toBeUndefined();
      await source.close();
    }
  });

  test('without a token, and without roots for a token that names none, the error says what to set', async () => {
    const none = joined({ token: undefined });
    await none.until(() => none.told.errors.length > 0);
    expect(none.told.errors[0]?.message).toMatch(
      /inmesh ca token create spiffe:.*INMESH_JOIN_TOKEN or INMESH_JOIN_TOKEN_FILE, or identity\.ca\.joinToken/,
    );
    const foreign = joined({ token: async () => 'kubernetes.token' });
    await foreign.until(() => foreign.told.errors.length > 0);
    expect(foreign.told.errors[0]?.message).toMatch(/set the roots/);
    expect(ca.asked).toEqual([]);
  });

  test('says by secret discovery whom to believe, and who is revoked', async () => {
    let watcher: SecretWatcher | undefined;
    const names: string[] = [];
    const { source, told, until } = joined({
      secrets: () => (name, it) => {
        names.push(name);
        watcher = it;
        return () => names.push('stopped');
      },
    });
    await until(() => told.states.length > 0);
    const trust = testCa().trust();
    watcher?.changed({ kind: 'validation', trust, crls: ['a list'] });
    expect(source.current).toMatchObject({ trust, crls: ['a list'], identity: { spiffeId: WEB } });
    const other = testCa().root;
    watcher?.changed({ kind: 'validation', trust: { kind: 'roots', certificates: [other] }, crls: [] });
    const bundles = new Map([['cluster.local', [other]]]);
    expect(source.current).toMatchObject({ trust: { kind: 'spiffe', bundles }, crls: [] });
    await source.close();
    expect(names).toEqual(['ROOTCA', 'stopped']);
  });

  test('that has a newer root is asked again soon, after each piece of news, until it signs under that', async () => {
    let watcher: SecretWatcher | undefined;
    const { told, until } = joined({
      secrets: () => (_, it) => {
        watcher = it;
        return () => {};
      },
    });
    await until(() => told.states.length > 0);
    const newer = testCa({ notBefore: Date.now(), name: 'Newer root' });
    const bundles = new Map([['cluster.local', [ca.ca.root, newer.root]]]);
    const news = (): void => watcher?.changed({ kind: 'validation', trust: { kind: 'spiffe', bundles }, crls: [] });
    news();
    await until(() => ca.asked.length === 2, 1_000);
    ca.answer = (publicKey) => [
      ...newer.issue({ spiffeId: WEB, publicKey, notBefore: clock.wallTime(), notAfter: clock.wallTime() + HOUR })
        .certificates,
      newer.root,
    ];
    news();
    await until(() => ca.asked.length === 3, 1_000);
    await until(() => !clock.busy);
    news();
    for (let i = 0; i < 200; i++) await clock.step(1_000);
    expect(ca.asked).toHaveLength(3);
    expect(clock.wallTime() - Date.now()).toBeLessThan(HOUR / 2);
  });

  test('a token that no header can carry is refused in words that do not show it, and the process goes on', async () => {
    for (const bad of ['abc.SECRET\u00e9', 'abc.SECRET\u0001', 'abc.SECRET\u{1f511}']) {
      const { told, until } = joined({ token: async () => bad, roots: [ca.ca.root] });
      await until(() => told.errors.length > 0);
      await clock.advance(2 * RENEWAL_TIMEOUT_MS);
      for (const { message, stack } of told.errors) expect(`${message} ${stack}`).not.toMatch(/SECRET/);
      expect(told.errors[0]?.message).toMatch(/a join token must be one word .* printable ASCII/);
    }
    expect(ca.asked).toEqual([]);
  });

  test('must have an address and an identity to ask for', () => {
    const options = { clock, random: seededRandom(1) };
    expect(() => caIdentity({ ...options, address: 'ca', spiffeId: WEB })).toThrow(/host:port/);
    expect(() => caIdentity({ ...options, address: 'ca:1', spiffeId: 'web' })).toThrow(/spiffeId/);
  });
});
