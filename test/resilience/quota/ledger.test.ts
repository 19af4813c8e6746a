import { expect, test, vi } from 'vitest';
import type { Use } from '../../../src/core/limits.js';
import type { MeshEvent } from '../../../src/core/meter.js';
import type { Limit } from '../../../src/core/model/limit.js';
import { UsageLedger } from '../../../src/resilience/quota/ledger.js';
import { usageWindows } from '../../../src/resilience/ratelimit/usage-window.js';
import { FakeClock } from '../../support/fake-clock.js';

const DAY = 86_400_000;
const daily: Limit = { algorithm: 'calendar', requests: 10, per: 'day', timeZone: 'Europe/Berlin' };

function ledger(maxAccounts?: number) {
  const clock = new FakeClock(0, Date.parse('2026-11-21T12:00:00Z'));
  const events: MeshEvent[] = [];
  const meter = { event: (event: MeshEvent) => void events.push(event) };
  const made = new UsageLedger({ clock, meter, window: usageWindows(), maxAccounts });
  const use = (user: string | undefined, of: Partial<Use> = {}): void =>
    made.used({ rule: 'quota', plan: 'free', names: ['user'], key: [user], cost: 1, limit: daily, ...of });
  return { clock, events, ledger: made, use };
}

test('uses are counted by key, plan, rule and window of the calendar', async () => {
  const { clock, ledger: of, use } = ledger();
  use('a');
  use('a', { cost: 3 });
  use('b', { plan: 'gold' });
  await clock.advance(DAY);
  use('a');
  use(undefined, { rule: 'other', limit: undefined });
  const first = { rule: 'quota', start: '2026-11-20T23:00:00.000Z', end: '2026-11-21T23:00:00.000Z' };
  expect(of.snapshot()).toMatchObject({
    at: '2026-11-22T12:00:00.000Z',
    dropped: 0,
    accounts: [
      { ...first, plan: 'free', key: { user: 'a' }, requests: 2, units: 4 },
      { ...first, plan: 'gold', key: { user: 'b' }, requests: 1, units: 1 },
      { rule: 'quota', key: { user: 'a' }, start: first.end, end: '2026-11-22T23:00:00.000Z', requests: 1 },
      { rule: 'other', key: {}, start: '2026-11-22T00:00:00.000Z', end: '2026-11-23T00:00:00.000Z', requests: 1 },
    ],
  });
});

test('a snapshot says what was used since another, and is JSON', () => {
  const { ledger: of, use } = ledger();
  use('a');
  use('b');
  const before = of.snapshot();
  use('a', { cost: 5 });
  use('c');
  const since = of.snapshot().since(before);
  expect(since.accounts.map(({ key, requests, units }) => [key?.['user'], requests, units])).toEqual([
    ['a', 1, 5],
    ['c', 1, 1],
  ]);
  expect(JSON.parse(JSON.stringify(since))).toMatchObject({ accounts: [{ plan: 'free' }, { plan: 'free' }] });
  expect(before.accounts[0]?.units).toBe(1);
});

test('when there are too many accounts the oldest windows go; while none has ended, further keys are counted together', async () => {
  const { clock, ledger: of, use } = ledger(16);
  for (let i = 0; i < 20; i++) use(`user ${i}`);
  const full = of.snapshot();
  expect(full.accounts).toHaveLength(17);
  expect(full.accounts.at(-1)).toMatchObject({ key: undefined, requests: 4 });
  expect(full.accounts.reduce((sum, { units }) => sum + units, 0)).toBe(20);
  await clock.advance(DAY);
  use('next day');
  expect(of.snapshot().dropped).toBe(2);
  for (let i = 0; i < 100; i++) use(`user ${i}`);
  expect(of.snapshot().accounts.length).toBeLessThanOrEqual(17);
});

test('metrics tell plans apart, a hundred of them, and nobody else', () => {
  const { events, use } = ledger();
  for (let i = 0; i < 101; i++) use('a', { plan: `plan ${i}`, cost: 2 });
  use('a', { plan: undefined });
  use('a', { plan: 'plan 0' });
  expect(events).toHaveLength(102);
  expect(events[0]).toEqual({ kind: 'quota:used', plan: 'plan 0', units: 2 });
  expect(events.slice(-2)).toEqual([
    { kind: 'quota:used', plan: 'other', units: 2 },
    { kind: 'quota:used', plan: 'plan 0', units: 1 },
  ]);
});

test('long values are cut and told apart by their hash', () => {
  const { ledger: of, use } = ledger();
  const long = 'x'.repeat(14_000);
  for (const user of [`${long}1`, `${long}2`, `${long}1`, 'x'.repeat(256)]) use(user);
  const { accounts } = of.snapshot();
  expect(accounts.map(({ requests }) => requests)).toEqual([2, 1, 1]);
  for (const { id, key } of accounts) {
    expect(key?.['user']).toHaveLength(256);
    expect(id.length).toBeLessThan(400);
  }
});

test('while no window has ended nobody looks for one that has', async () => {
  const { clock, ledger: of, use } = ledger(16);
  const looked = vi.spyOn(Map.prototype, Symbol.iterator);
  try {
    for (let i = 0; i < 100; i++) use(`user ${i}`);
    expect(looked).not.toHaveBeenCalled();
    await clock.advance(DAY);
    for (let i = 0; i < 100; i++) use(`user ${i}`);
    // Each time an eighth goes: all seventeen of yesterday, and then no more.
    expect(looked.mock.calls.length).toBe(9);
  } finally {
    looked.mockRestore();
  }
  expect(of.snapshot().dropped).toBe(17);
  expect(of.snapshot().accounts.reduce((sum, { requests }) => sum + requests, 0)).toBe(100);
});
