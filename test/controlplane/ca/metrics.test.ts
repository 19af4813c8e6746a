import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import type { Attestor } from '../../../src/controlplane/ca/attestation/attestor.js';
import { JoinTokens } from '../../../src/controlplane/ca/attestation/join-token.js';
import { CA_GAUGES, CaMetrics } from '../../../src/controlplane/ca/metrics.js';
import { Certifier } from '../../../src/controlplane/ca/service/certify.js';
import { DEFAULT_QUEUE, SigningQueue } from '../../../src/controlplane/ca/service/queue.js';
import { silentLogger } from '../../../src/core/log.js';
import { type Meter, type MeshEvent, noMeter } from '../../../src/core/meter.js';
import { certificateRequest, newPrivateKey } from '../../../src/identity/csr.js';
import { Mailbox } from '../../support/mailbox.js';
import { tokenOf } from './attestor-contract.js';
import { authorities, DAY, ID } from './support.js';

const { open, closeAll, clock } = authorities();
const closing: (() => Promise<void>)[] = [];
afterEach(async () => {
  await Promise.all(closing.splice(0).map((close) => close()));
  await closeAll();
});

/** An authority with what it tells: by name and labels what can be read, and the events. */
async function counted(more: readonly Attestor[] = []) {
  const gauges = new Map<string, () => number>();
  const events: MeshEvent[] = [];
  const meter: Meter = {
    ...noMeter,
    event: (event) => void events.push(event),
    gauge(name, labels, read) {
      const key = [name, ...Object.values(labels)].join(' ');
      gauges.set(key, read);
      return () => gauges.delete(key);
    },
  };
  const authority = await open();
  const queue = new SigningQueue(clock, DEFAULT_QUEUE);
  closing.push(() => queue.close());
  const metrics = new CaMetrics(meter, authority, queue, clock);
  const tokens = new JoinTokens(authority, clock);
  const attestors = [tokens.attestor(), ...more];
  const certifier = new Certifier({ authority, attestors, queue, metrics, clock, logger: silentLogger });
  const csr = certificateRequest(await newPrivateKey(), { spiffeId: ID });
  const ask = (token: string, wanted = csr) =>
    certifier.certify({ csr: wanted, validitySeconds: 0 }, tokenOf(token), '10.0.0.1');
  const read = (name: string): number | undefined => gauges.get(name)?.();
  return { authority, tokens, queue, metrics, gauges, events, ask, read };
}

test('certificates are counted by who attested, and told of', async () => {
  const { tokens, ask, read, events } = await counted();
  for (let i = 0; i < 2; i++) await ask((await tokens.create(ID)).token);
  expect(read(`${CA_GAUGES.issued} join-token`)).toBe(2);
  expect(events).toHaveLength(2);
  expect(events[0]).toMatchObject({ kind: 'ca:issued', attestor: 'join-token', spiffeId: ID });
});

test('refusals are counted by who refused, and why', async () => {
  const { tokens, ask, read, events } = await counted();
  await ask('nonsense').catch(() => {});
  const { token, id } = await tokens.create(ID);
  await ask(token, 'no CSR').catch(() => {});
  await tokens.remove(id);
  await ask(token).catch(() => {});
  expect(read(`${CA_GAUGES.refused} none unauthenticated`)).toBe(1);
  expect(read(`${CA_GAUGES.refused} join-token bad_request`)).toBe(1);
  expect(read(`${CA_GAUGES.refused} join-token unauthenticated`)).toBe(1);
  expect(events.map(({ kind }) => kind)).toEqual(['ca:refused', 'ca:refused', 'ca:refused']);
  expect(JSON.stringify(events)).not.toContain(token);
});

test('the queue says how many wait, since when, and how long those waited who had their turn', async () => {
  const { queue, read } = await counted();
  const started = new Mailbox<void>();
  const held = new Mailbox<void>();
  const work = (i: number) => async (): Promise<void> => {
    if (i === 0) started.put();
    if (i === 0) await held.take();
  };
  const asked = Array.from({ length: DEFAULT_QUEUE.batch + 3 }, (_, i) => queue.run(`caller ${i}`, work(i)));
  await started.take();
  await clock.advance(2_000);
  expect([read(CA_GAUGES.waiting), read(CA_GAUGES.served)]).toEqual([3, DEFAULT_QUEUE.batch]);
  expect(read(CA_GAUGES.longestWait)).toBe(2);
  held.put();
  await Promise.all(asked);
  expect([read(CA_GAUGES.waiting), read(CA_GAUGES.longestWait)]).toEqual([0, 0]);
  expect(read(CA_GAUGES.served)).toBe(DEFAULT_QUEUE.batch + 3);
  expect(read(CA_GAUGES.waited)).toBe(6);
});

test('when root and intermediate end can be read, and how many are revoked', async () => {
  const { authority, tokens, ask, read } = await counted();
  const now = clock.wallTime() / 1_000;
  expect((read(CA_GAUGES.rootEnds) as number) - now).toBeCloseTo((3_650 * DAY) / 1_000, -1);
  expect((read(CA_GAUGES.intermediateEnds) as number) - now).toBeCloseTo((365 * DAY) / 1_000, -1);
  await ask((await tokens.create(ID)).token);
  expect(read(CA_GAUGES.revoked)).toBe(0);
  await authority.revoke(ID);
  expect(read(CA_GAUGES.revoked)).toBe(1);
});

test('records that cannot be written are counted, and nothing is issued', async () => {
  const { authority, tokens, ask, read } = await counted();
  const { token } = await tokens.create(ID);
  const log = join(authority.directory, 'issued.jsonl');
  rmSync(log, { force: true });
  // A folder in its place: nobody can write into it, root neither.
  mkdirSync(log);
  await expect(ask(token)).rejects.toThrow(/EISDIR/);
  expect(read(CA_GAUGES.recordFailures)).toBe(1);
  expect(read(`${CA_GAUGES.issued} join-token`)).toBeUndefined();
  rmSync(log, { recursive: true });
  writeFileSync(log, '');
  await expect(ask(token)).resolves.toBeDefined();
});

test('closed, it leaves no gauge behind', async () => {
  const { ask, metrics, gauges } = await counted();
  await ask('nonsense').catch(() => {});
  metrics.close();
  expect(gauges.size).toBe(0);
});
