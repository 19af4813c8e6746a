import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { serveSds } from '../../../src/controlplane/sds/serve.js';
import { systemClock } from '../../../src/core/clock.js';
import type { IdentityState, Secret } from '../../../src/core/identity.js';
import { silentLogger } from '../../../src/core/log.js';
import { systemRandom } from '../../../src/core/random.js';
import { RpcConnection } from '../../../src/identity/rpc/connection.js';
import { memoryIdentity } from '../../../src/identity/sources/memory.js';
import { secretsOver } from '../../../src/xds/sds/secret-discovery.js';
import { type TestCa, testCa } from '../../support/pki.js';

const ID = 'spiffe://cluster.local/ns/default/sa/a';
const stateOf = (ca: TestCa, crls: readonly string[] = []): IdentityState => ({
  identity: ca.issue({ spiffeId: ID }),
  trust: { kind: 'spiffe', bundles: new Map([['cluster.local', [ca.root]]]) },
  crls,
});

let folder: string;
let ends: (() => unknown)[] = [];
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'inmesh-sds-'));
});
afterEach(async () => {
  for (const end of ends.reverse()) await end();
  ends = [];
  await rm(folder, { recursive: true });
});

function connected(): ReturnType<typeof secretsOver> {
  const connection = new RpcConnection({ target: `unix:${join(folder, 'sds')}`, clock: systemClock });
  ends.push(() => connection.close());
  return secretsOver(connection, { node: 'test', clock: systemClock, random: systemRandom });
}

/** What is told of one secret, one after the other. */
function watched(watch: ReturnType<typeof secretsOver>, name: string) {
  const told: (Secret | Error)[] = [];
  let wake: (() => void) | undefined;
  const tell = (event: Secret | Error): void => {
    told.push(event);
    wake?.();
  };
  ends.push(watch(name, { changed: tell, failed: tell }));
  return async (): Promise<Secret | Error> => {
    while (told.length === 0) await new Promise<void>((resolve) => (wake = resolve));
    return told.shift() as Secret | Error;
  };
}

describe('secrets over a stream of their own', () => {
  test('are a certificate with its key, and whom to trust; each again when it is replaced', async () => {
    const ca = testCa();
    const first = stateOf(ca);
    const source = memoryIdentity(first);
    const server = await serveSds({ socket: join(folder, 'sds'), source, logger: silentLogger });
    ends.push(() => server.close());
    const watch = connected();
    const certificate = watched(watch, 'default');
    const trust = watched(watch, 'ROOTCA');
    const got = await certificate();
    expect(got).toMatchObject({ kind: 'certificate' });
    if (!('kind' in got) || got.kind !== 'certificate') throw got;
    expect(got.privateKey.equals(first.identity?.privateKey as never)).toBe(true);
    expect(await trust()).toMatchObject({ kind: 'validation' });
    const second = stateOf(ca, [ca.crl([Uint8Array.of(1)])]);
    source.set(second);
    const replaced = await certificate();
    if (!('kind' in replaced) || replaced.kind !== 'certificate') throw replaced;
    expect(replaced.privateKey.equals(second.identity?.privateKey as never)).toBe(true);
    const revoked = await trust();
    if (!('kind' in revoked) || revoked.kind !== 'validation') throw revoked;
    expect(revoked.crls).toHaveLength(1);
  });

  test('what is known stands while the server is away, and who comes later is told it', async () => {
    const socket = join(folder, 'sds');
    const source = memoryIdentity(stateOf(testCa()));
    const server = await serveSds({ socket, source, logger: silentLogger });
    const watch = connected();
    const first = watched(watch, 'default');
    expect(await first()).toMatchObject({ kind: 'certificate' });
    await server.close();
    expect(await first()).toMatchObject({ code: 'IDENTITY_UNAVAILABLE' });
    const later = watched(watch, 'default');
    expect(await later()).toMatchObject({ kind: 'certificate' });
    expect(await later()).toMatchObject({ code: 'IDENTITY_UNAVAILABLE' });
  });

  test('a server that is not there is told of', async () => {
    expect(await watched(connected(), 'default')()).toMatchObject({ code: 'IDENTITY_UNAVAILABLE' });
  });
});
