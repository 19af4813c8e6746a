import { describe, expect, test } from 'vitest';
import type { LimitDescriptor, LimitServiceAnswer } from '../../../../src/core/limits.js';
import { RLS_METHOD, type RlsRequest, type RlsResponse } from '../../../../src/core/rls.js';
import { readRlsRequest } from '../../../../src/core/rls-read.js';
import { writeRlsResponse } from '../../../../src/core/rls-write.js';
import { type AskUnary, rateLimitService } from '../../../../src/resilience/ratelimit/rls/service.js';

const OK: RlsResponse = {
  overallCode: 1,
  statuses: [],
  responseHeaders: [],
  requestHeaders: [],
  rawBody: new Uint8Array(0),
};
const PER_MINUTE = { name: 'calls', requestsPerUnit: 60, unit: 2 };
const ONE = { entries: [['user', 'ann']], hits: 1 } as const;

async function ask(response: Partial<RlsResponse>, descriptors: readonly LimitDescriptor[] = [ONE]) {
  const asked: Parameters<AskUnary>[0][] = [];
  const service = rateLimitService('limits', (request) => {
    asked.push(request);
    return Promise.resolve(writeRlsResponse({ ...OK, ...response }));
  });
  const answer = await service.shouldRateLimit('edge', descriptors, 20);
  return { answer, asked, request: readRlsRequest(asked[0]?.message as Uint8Array) as RlsRequest };
}
const answerTo = async (response: Partial<RlsResponse>): Promise<LimitServiceAnswer> => (await ask(response)).answer;

describe('what is asked', () => {
  test('all descriptors of a request at once, of the named service, within the time', async () => {
    const { asked, request } = await ask({}, [
      ONE,
      {
        entries: [
          ['path', '/'],
          ['plan', 'free'],
        ],
        hits: 1,
      },
    ]);
    expect(asked).toHaveLength(1);
    expect(asked[0]).toMatchObject({ authority: 'limits', path: RLS_METHOD, timeoutMs: 20 });
    expect(request.domain).toBe('edge');
    expect(request.descriptors.map((it) => it.entries)).toEqual([
      [['user', 'ann']],
      [
        ['path', '/'],
        ['plan', 'free'],
      ],
    ]);
  });

  test.each([
    [1_000, 1],
    [60_000, 2],
    [3_600_000, 3],
    [86_400_000, 4],
    [604_800_000, 7],
    [2_592_000_000, 5],
    [31_536_000_000, 6],
  ])('a limit of the caller for %i ms is said in the unit %i', async (perMs, unit) => {
    const limit = { algorithm: 'fixed_window', requests: 7, perMs } as const;
    const { request } = await ask({}, [{ ...ONE, limit }, ONE]);
    expect(request.descriptors.map((it) => it.limit)).toEqual([{ requestsPerUnit: 7, unit }, undefined]);
  });

  test('hits that are alike are said once, as services know it that are older', async () => {
    const { request } = await ask({}, [
      { ...ONE, hits: 5 },
      { ...ONE, hits: 5 },
    ]);
    expect(request.hitsAddend).toBe(5);
    expect(request.descriptors.map((it) => it.hitsAddend)).toEqual([undefined, undefined]);
  });

  test.each([[[1, 5]], [[0]], [[0, 0]]])('hits of %j are said of each descriptor', async (hits) => {
    const { request } = await ask(
      {},
      hits.map((it) => ({ ...ONE, hits: it })),
    );
    expect(request.hitsAddend).toBe(0);
    expect(request.descriptors.map((it) => it.hitsAddend)).toEqual(hits);
  });
});

describe('what an answer means', () => {
  test.each([
    [0, true],
    [1, true],
    [2, false],
    [3, true],
  ])('code %d lets a request through: %s', async (overallCode, allowed) => {
    expect((await answerTo({ overallCode })).allowed).toBe(allowed);
  });

  test('a status tells of the limit, what is left of it and when it begins anew', async () => {
    const status = { code: 1, currentLimit: PER_MINUTE, limitRemaining: 7, resetMs: 12_000 };
    expect((await answerTo({ statuses: [status] })).states).toEqual([
      {
        allowed: true,
        limit: 60,
        remaining: 7,
        resetMs: 12_000,
        retryAfterMs: 0,
        of: { algorithm: 'fixed_window', requests: 60, perMs: 60_000 },
        name: 'calls',
      },
    ]);
  });

  test('one that is over its limit may come again when the window is over', async () => {
    const status = { code: 2, currentLimit: PER_MINUTE, limitRemaining: 0, resetMs: 12_000 };
    const { states } = await answerTo({ overallCode: 2, statuses: [status] });
    expect(states).toMatchObject([{ allowed: false, remaining: 0, retryAfterMs: 12_000 }]);
  });

  test('a service that does not say when the window is over means a whole one at most', async () => {
    const status = { code: 2, currentLimit: PER_MINUTE, limitRemaining: 0, resetMs: undefined };
    const { states } = await answerTo({ overallCode: 2, statuses: [status] });
    expect(states).toMatchObject([{ resetMs: 60_000, retryAfterMs: 60_000 }]);
  });

  test('where the service has no limit there is no end', async () => {
    const status = { code: 1, currentLimit: undefined, limitRemaining: 0, resetMs: undefined };
    const { states } = await answerTo({ statuses: [status] });
    expect(states).toMatchObject([{ limit: Infinity, remaining: Infinity, of: undefined, name: undefined }]);
  });

  test('a limit of a unit that nobody knows is one whose window is not known', async () => {
    const status = { code: 1, currentLimit: { ...PER_MINUTE, unit: 9 }, limitRemaining: 7, resetMs: undefined };
    const { states } = await answerTo({ statuses: [status] });
    expect(states).toMatchObject([{ limit: 60, remaining: 7, resetMs: 0, of: undefined }]);
  });

  test('statuses beyond those that were asked for are nobody’s', async () => {
    const status = { code: 1, currentLimit: undefined, limitRemaining: 0, resetMs: undefined };
    expect((await answerTo({ statuses: [status, status] })).states).toHaveLength(1);
  });

  test('header fields of both ways and a body come along', async () => {
    const answer = await answerTo({
      responseHeaders: [
        ['X-Plan', 'free'],
        ['x-plan', 'trial'],
      ],
      requestHeaders: [['x-checked', 'yes']],
      rawBody: Buffer.from('too many'),
    });
    expect({ ...answer.replyHeaders }).toEqual({ 'x-plan': ['free', 'trial'] });
    expect({ ...answer.requestHeaders }).toEqual({ 'x-checked': 'yes' });
    expect(Buffer.from(answer.body as Uint8Array).toString()).toBe('too many');
    const nothing = await answerTo({});
    expect(nothing).toMatchObject({ replyHeaders: undefined, requestHeaders: undefined, body: undefined });
  });

  test.each([
    ['x-a b', 'value'],
    [':path', '/'],
    ['', 'value'],
    ['x-a', 'one\r\nx-b: two'],
    ['x-a', 'nul\0'],
    ['Content-Length', '5'],
    ['transfer-encoding', 'chunked'],
    ['connection', 'close'],
  ])('a header field that could not be sent, or frames the message, is left out: %j %j', async (name, value) => {
    expect((await answerTo({ responseHeaders: [[name, value]] })).replyHeaders).toBeUndefined();
  });
});

test('what is no RateLimitResponse rejects', async () => {
  const service = rateLimitService('limits', () => Promise.resolve(Buffer.from('no message')));
  await expect(service.shouldRateLimit('edge', [ONE], 20)).rejects.toThrow('"limits" answered with what is no');
});
