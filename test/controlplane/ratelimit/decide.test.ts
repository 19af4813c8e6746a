import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { decide } from '../../../src/controlplane/ratelimit/decide.js';
import { readLimits } from '../../../src/controlplane/ratelimit/read.js';
import type { LimitTable } from '../../../src/controlplane/ratelimit/table.js';
import type { LimitStore } from '../../../src/core/limits.js';
import { type MeshEvent, noMeter } from '../../../src/core/meter.js';
import type { RlsRequest, RlsResponse } from '../../../src/core/rls.js';
import { LocalStore } from '../../../src/resilience/ratelimit/local-store.js';
import { FakeClock } from '../../support/fake-clock.js';
import { descriptor, requestOf } from './support.js';

const OK = 1;
const OVER_LIMIT = 2;

function limits(text: string, store?: LimitStore) {
  const clock = new FakeClock();
  const { table, problems } = readLimits([{ name: 'limits.yaml', text }]);
  expect(problems).toEqual([]);
  const events: MeshEvent[] = [];
  const env = {
    store: store ?? new LocalStore({ clock }),
    meter: { ...noMeter, event: (it: MeshEvent) => void events.push(it) },
  };
  const answer = (request: RlsRequest): Promise<RlsResponse> => decide(table as LimitTable, request, env);
  const code = async (request: RlsRequest): Promise<number> => (await answer(request)).overallCode;
  return { clock, events, answer, code };
}

const PER_MINUTE = `
domain: edge
descriptors:
  - { key: user, rate_limit: { unit: minute, requests_per_unit: 2, name: users } }
  - { key: user, value: root, rate_limit: { unlimited: true } }
  - { key: quiet, shadow_mode: true, rate_limit: { unit: minute, requests_per_unit: 1 } }
  - { key: told, quota_mode: true, rate_limit: { unit: minute, requests_per_unit: 1 } }
  - { key: none, rate_limit: { unit: minute, requests_per_unit: 0 } }
`;

describe('a descriptor with a limit', () => {
  test('is let through as often as the limit says in each window, and again in the next', async () => {
    const { clock, code } = limits(PER_MINUTE);
    const ann = requestOf('edge', 'user=ann');
    expect([await code(ann), await code(ann), await code(ann)]).toEqual([OK, OK, OVER_LIMIT]);
    expect(await code(requestOf('edge', 'user=bob'))).toBe(OK);
    await clock.advance(60_000);
    expect([await code(ann), await code(ann), await code(ann)]).toEqual([OK, OK, OVER_LIMIT]);
  });

  test('is told of its limit, what is left, and when the window is over in whole seconds', async () => {
    const { clock, answer } = limits(PER_MINUTE);
    await clock.advance(60_000 - (clock.wallTime() % 60_000) + 10_300);
    const ann = requestOf('edge', 'user=ann');
    const currentLimit = { name: 'users', requestsPerUnit: 2, unit: 2 };
    const told = { code: OK, currentLimit, resetMs: 50_000 };
    expect((await answer(ann)).statuses).toEqual([{ ...told, limitRemaining: 1 }]);
    expect((await answer(ann)).statuses).toEqual([{ ...told, limitRemaining: 0 }]);
    expect((await answer(ann)).statuses).toEqual([{ ...told, code: OVER_LIMIT, limitRemaining: 0 }]);
  });

  test('of nothing lets nobody through', async () => {
    const { code } = limits(PER_MINUTE);
    expect(await code(requestOf('edge', 'none=x'))).toBe(OVER_LIMIT);
  });

  test('that is unlimited is never over', async () => {
    const { answer } = limits(PER_MINUTE);
    for (let i = 0; i < 5; i++) {
      const { overallCode, statuses } = await answer(requestOf('edge', 'user=root'));
      expect({ overallCode, statuses }).toMatchObject({ overallCode: OK, statuses: [{ limitRemaining: 2 ** 32 - 1 }] });
    }
  });

  test.each(['quiet=x', 'told=x'])('in shadow or quota mode is told as over by the metrics alone: %s', async (text) => {
    const { answer, events } = limits(PER_MINUTE);
    const request = requestOf('edge', text);
    await answer(request);
    expect(await answer(request)).toMatchObject({ overallCode: OK, statuses: [{ code: OK, limitRemaining: 0 }] });
    const rule = `edge.${text.split('=')[0]}`;
    expect(events).toEqual([{ kind: 'limit:refused', rule, protocol: 'grpc', shadow: true, reason: 'limit' }]);
  });
});

describe('what nobody configured limits nothing', () => {
  test.each([
    ['elsewhere', 'user=ann'],
    ['edge', 'group=staff'],
    ['edge', 'user=ann,path=/'],
  ])('%s: %s', async (domain, text) => {
    const { answer } = limits(PER_MINUTE);
    const status = { code: OK, currentLimit: undefined, limitRemaining: 0, resetMs: undefined };
    for (let i = 0; i < 3; i++) {
      expect(await answer(requestOf(domain, text))).toMatchObject({ overallCode: OK, statuses: [status] });
    }
  });
});

describe('several descriptors of one request', () => {
  test('are over together when one is, each with its own status, and each counts whatever the others say', async () => {
    const { answer } = limits(PER_MINUTE);
    const both = requestOf('edge', 'user=ann', 'none=x', 'group=staff');
    const first = await answer(both);
    expect(first.overallCode).toBe(OVER_LIMIT);
    expect(first.statuses.map(({ code }) => code)).toEqual([OK, OVER_LIMIT, OK]);
    expect((await answer(requestOf('edge', 'user=ann'))).statuses[0]?.limitRemaining).toBe(0);
  });

  test('of which one replaces another count without that', async () => {
    const { answer } = limits(`
domain: edge
descriptors:
  - { key: all, rate_limit: { unit: minute, requests_per_unit: 0, name: everybody } }
  - { key: user, value: vip, rate_limit: { unit: minute, requests_per_unit: 9, replaces: [{ name: everybody }] } }
  - { key: user, value: idol, rate_limit: { unlimited: true, replaces: [{ name: everybody }] } }
`);
    const code = async (...texts: string[]) => (await answer(requestOf('edge', ...texts))).overallCode;
    expect(await code('all=')).toBe(OVER_LIMIT);
    expect(await code('all=', 'user=ann')).toBe(OVER_LIMIT);
    expect(await code('all=', 'user=vip')).toBe(OK);
    expect(await code('user=idol', 'all=')).toBe(OK);
  });
});

describe('hits', () => {
  const ten = `{ domain: edge, descriptors: [{ key: k, rate_limit: { unit: minute, requests_per_unit: 10 } }] }`;

  test('of a request count that often, of a descriptor instead of those', async () => {
    const { answer } = limits(ten);
    const left = async (request: RlsRequest) => (await answer(request)).statuses[0]?.limitRemaining;
    expect(await left({ ...requestOf('edge', 'k=v'), hitsAddend: 3 })).toBe(7);
    expect(await left({ ...requestOf('edge', descriptor('k=v', { hitsAddend: 2 })), hitsAddend: 3 })).toBe(5);
    expect(await left(requestOf('edge', 'k=v'))).toBe(4);
  });

  test('of none look and take nothing, until nothing is left', async () => {
    const { answer } = limits(ten);
    const look = requestOf('edge', descriptor('k=v', { hitsAddend: 0 }));
    for (let i = 0; i < 3; i++)
      expect(await answer(look)).toMatchObject({ overallCode: OK, statuses: [{ limitRemaining: 10 }] });
    await answer({ ...requestOf('edge', 'k=v'), hitsAddend: 10 });
    expect((await answer(look)).overallCode).toBe(OVER_LIMIT);
  });

  test('of more than is left are refused, and use up what is left', async () => {
    const { answer } = limits(ten);
    await answer({ ...requestOf('edge', 'k=v'), hitsAddend: 8 });
    expect((await answer({ ...requestOf('edge', 'k=v'), hitsAddend: 5 })).overallCode).toBe(OVER_LIMIT);
    expect((await answer(requestOf('edge', 'k=v'))).overallCode).toBe(OVER_LIMIT);
  });
});

describe('a limit that comes with the request', () => {
  test('takes the place of the configured one, and counts for itself', async () => {
    const { code } = limits(PER_MINUTE);
    const own = requestOf('edge', descriptor('user=ann', { limit: { requestsPerUnit: 1, unit: 3 } }));
    expect([await code(own), await code(own)]).toEqual([OK, OVER_LIMIT]);
    expect(await code(requestOf('edge', 'user=ann'))).toBe(OK);
  });

  test('is not heard in a domain that nobody configured', async () => {
    const { code } = limits(PER_MINUTE);
    expect(await code(requestOf('none', descriptor('a=b', { limit: { requestsPerUnit: 0, unit: 3 } })))).toBe(OK);
  });

  test('of a unit that there is not cannot be answered', async () => {
    const { code } = limits(PER_MINUTE);
    const own = requestOf('edge', descriptor('user=ann', { limit: { requestsPerUnit: 1, unit: 0 } }));
    await expect(code(own)).rejects.toThrow('a limit of unit 0');
  });
});

test.each([
  ['without a domain', requestOf('', 'user=ann'), 'the domain is empty'],
  ['without a descriptor', requestOf('edge'), 'there is no descriptor'],
])('a request %s cannot be answered', async (_, request, message) => {
  await expect(limits(PER_MINUTE).code(request)).rejects.toThrow(message);
});

test('values cannot be written so that two callers count as one', async () => {
  const table = `{ domain: d, descriptors: [{ key: a, descriptors: [{ key: b, rate_limit: { unit: hour, requests_per_unit: 1 } }] }] }`;
  const text = fc.string({ unit: fc.constantFrom('a', ',', '"', '\\', '_', ']') });
  await fc.assert(
    fc.asyncProperty(fc.tuple(text, text), fc.tuple(text, text), async (one, other) => {
      fc.pre(one[0] !== other[0] || one[1] !== other[1]);
      const { code } = limits(table);
      const request = ([a, b]: readonly [string, string]): RlsRequest =>
        requestOf('d', {
          entries: [
            ['a', a],
            ['b', b],
          ],
          limit: undefined,
          hitsAddend: undefined,
        });
      expect(await code(request(one))).toBe(OK);
      expect(await code(request(other))).toBe(OK);
    }),
  );
});

test('a store that does not answer is an error, not a decision', async () => {
  const dead: LimitStore = { take: () => Promise.reject(new Error('no redis')), close() {} };
  await expect(limits(PER_MINUTE, dead).code(requestOf('edge', 'user=ann'))).rejects.toThrow('no redis');
});
