import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { BytesBody, StreamBody } from '../../../src/core/body.js';
import type { Call, CallInit } from '../../../src/core/call.js';
import type { FallbackConfig } from '../../../src/core/model/fallback.js';
import { type HeaderFields, headerFields } from '../../../src/core/headers.js';
import { localReply, type Reply } from '../../../src/core/reply.js';
import { cacheControl, keeping } from '../../../src/resilience/fallback/cache-rules.js';
import { grpcReply } from '../../../src/resilience/fallback/grpc-reply.js';
import { StaleCache } from '../../../src/resilience/fallback/stale-cache.js';
import { aCall, aReply } from '../../support/calls.js';
import { FakeClock } from '../../support/fake-clock.js';
import { Refused, STALE, textOf, withFallbacks } from './support.js';

const reply = (body: string, headers: Record<string, string | string[]> = {}, status = 200): Reply =>
  localReply(status, headerFields(headers), Buffer.from(body));

/** A destination that gives `replies` and is gone after that. */
const thenGone = (...replies: Reply[]) => gone([STALE], ...replies);

function gone(kinds: readonly FallbackConfig[], ...replies: Reply[]) {
  const fixture = withFallbacks(kinds, async () => {
    const next = replies.shift();
    if (next === undefined) throw new Refused('gone');
    return next;
  });
  const ask = async (init: Partial<CallInit> & { fields?: Record<string, string> } = {}): Promise<string> => {
    const { fields, ...rest } = init;
    const headers = headerFields(fields);
    try {
      const got = await fixture.service(aCall({ ...rest, headers }));
      const kind = got.headers['inmesh-fallback'];
      const age = got.headers['age'];
      return `${await textOf(got)}${kind === undefined ? '' : ` (${String(kind)}, ${String(age)} s)`}`;
    } catch (error) {
      return (error as { code: string }).code;
    }
  };
  return { ...fixture, ask };
}

describe('several stale fallbacks', () => {
  const fresh: FallbackConfig = { ...STALE, maxAgeMs: 10_000, maxEntryBytes: 200 };
  const old: FallbackConfig = { ...STALE, maxAgeMs: 60_000 };

  test('each keep what they are told to keep, and are asked in their order', async () => {
    const { ask, clock, events } = gone([fresh, old], reply('short'), reply('x'.repeat(500)));
    await ask();
    await ask({ path: '/long' });
    expect(await ask()).toBe('short (stale, 0 s)');
    expect(await ask({ path: '/long' })).toMatch(/^x+ \(stale, 0 s\)$/);
    await clock.advance(20_000);
    expect(await ask()).toBe('short (stale, 20 s)');
    await clock.advance(50_000);
    expect(await ask()).toBe('CONNECT_FAILED');
    expect(events).toHaveLength(3);
  });

  test('all forget what is changed', async () => {
    const { ask } = gone([fresh, old], reply('kept'), reply('done'));
    await ask();
    await ask({ method: 'DELETE' });
    expect(await ask()).toBe('CONNECT_FAILED');
  });
});

describe('the stale fallback', () => {
  test('gives the last good reply to the same request, with its age', async () => {
    const { ask, clock } = thenGone(reply('one'), reply('two'), reply('other'));
    await ask();
    await ask();
    await ask({ path: '/other' });
    await clock.advance(7_900);
    expect(await ask()).toBe('two (stale, 7 s)');
    expect(await ask({ path: '/other' })).toBe('other (stale, 7 s)');
    expect(await ask({ path: '/unknown' })).toBe('CONNECT_FAILED');
    expect(await ask({ method: 'POST' })).toBe('CONNECT_FAILED');
    expect(await ask({ method: 'HEAD' })).toBe('CONNECT_FAILED');
    expect(await ask({ authority: 'elsewhere' })).toBe('CONNECT_FAILED');
  });

  test('gives nothing from before the resource was changed (RFC 9111 section 4.4)', async () => {
    for (const method of ['PUT', 'POST', 'DELETE', 'PATCH', 'LOCK']) {
      const { ask } = thenGone(reply('old'), reply(''), reply('other'), reply('', {}, method === 'POST' ? 303 : 204));
      await ask();
      await ask({ method: 'HEAD' });
      await ask({ path: '/other' });
      await ask({ method });
      expect(await ask()).toBe('CONNECT_FAILED');
      expect(await ask({ method: 'HEAD' })).toBe('CONNECT_FAILED');
      expect(await ask({ path: '/other' })).toBe('other (stale, 0 s)');
    }
  });

  test('gives what it has when a change failed, or the method changes nothing', async () => {
    const { ask } = thenGone(reply('kept'), reply('', {}, 409), reply('', {}, 500), reply(''), reply(''));
    await ask();
    for (const method of ['PUT', 'DELETE', 'OPTIONS', 'TRACE']) await ask({ method });
    expect(await ask()).toBe('kept (stale, 0 s)');
  });

  test('forgets all variants of what was changed, also when a new one comes', async () => {
    const vary = { vary: 'accept-language' };
    const { ask } = thenGone(reply('alt', vary), reply('old', vary), reply('', {}, 204), reply('neu', vary));
    await ask({ fields: { 'accept-language': 'de' } });
    await ask({ fields: { 'accept-language': 'en' } });
    await ask({ method: 'PUT' });
    await ask({ fields: { 'accept-language': 'de' } });
    expect(await ask({ fields: { 'accept-language': 'en' } })).toBe('CONNECT_FAILED');
    expect(await ask({ fields: { 'accept-language': 'de' } })).toBe('neu (stale, 0 s)');
  });

  test('does not keep a reply that was on its way when the resource was changed', async () => {
    const body = new StreamBody({ resume() {}, cancel() {} });
    body.write(Buffer.from('old'));
    const { ask } = thenGone({ ...reply(''), body }, reply('', {}, 204));
    const reading = ask();
    await ask({ method: 'PUT' });
    body.end();
    expect(await reading).toBe('old');
    expect(await ask()).toBe('CONNECT_FAILED');
  });

  test('gives nothing older than its limit', async () => {
    const { ask, clock } = thenGone(reply('one'));
    await ask();
    await clock.advance(60_000);
    expect(await ask()).toBe('one (stale, 60 s)');
    await clock.advance(1);
    expect(await ask()).toBe('CONNECT_FAILED');
  });

  test('counts the age that a reply came with, and what stale-if-error allows', async () => {
    const { ask, clock } = thenGone(
      reply('old', { age: '50' }),
      reply('short', { 'cache-control': 'max-age=2, stale-if-error=3' }),
    );
    await ask({ path: '/old' });
    await ask({ path: '/short' });
    await clock.advance(5_000);
    expect(await ask({ path: '/old' })).toBe('old (stale, 55 s)');
    expect(await ask({ path: '/short' })).toBe('short (stale, 5 s)');
    await clock.advance(5_001);
    expect(await ask({ path: '/old' })).toBe('CONNECT_FAILED');
    expect(await ask({ path: '/short' })).toBe('CONNECT_FAILED');
  });

  test.each([
    ['no-store', { 'cache-control': 'no-store' }],
    ['private', { 'cache-control': 'max-age=60, Private' }],
    ['private for some fields', { 'cache-control': 'private="x-user, x-more"' }],
    ['no-cache', { 'cache-control': 'no-cache' }],
    ['must-revalidate', { 'cache-control': 'public, must-revalidate' }],
    ['s-maxage', { 'cache-control': 's-maxage=60' }],
    ['a cookie', { 'set-cookie': 'a=1' }],
    ['vary: *', { vary: '*' }],
  ])('keeps no reply with %s', async (_, headers) => {
    const { ask } = thenGone(reply('one', headers));
    await ask();
    expect(await ask()).toBe('CONNECT_FAILED');
  });

  test('keeps no reply that is too large, was cut off, or says that something is wrong', async () => {
    const { ask } = thenGone(reply('x'.repeat(1_001)), reply('gone', {}, 404), reply('part', {}, 206));
    for (let i = 0; i < 3; i++) await ask();
    expect(await ask()).toBe('CONNECT_FAILED');
  });

  test("keeps one caller's reply from another, unless it is public", async () => {
    const mine = { fields: { authorization: 'Bearer me' } };
    const { ask } = thenGone(reply('mine'), reply('ours', { 'cache-control': 'public, max-age=5' }));
    await ask({ ...mine, path: '/mine' });
    await ask({ ...mine, path: '/ours' });
    expect(await ask({ ...mine, path: '/mine' })).toBe('CONNECT_FAILED');
    expect(await ask({ ...mine, path: '/ours' })).toBe('ours (stale, 0 s)');
  });

  test('keeps variants apart by what the reply varies by', async () => {
    const vary = { vary: 'Accept-Language, x-plan' };
    const { ask } = thenGone(reply('hallo', vary), reply('bonjour', vary));
    await ask({ fields: { 'accept-language': 'de' } });
    await ask({ fields: { 'accept-language': 'fr' } });
    expect(await ask({ fields: { 'accept-language': 'de' } })).toBe('hallo (stale, 0 s)');
    expect(await ask({ fields: { 'accept-language': 'fr' } })).toBe('bonjour (stale, 0 s)');
    expect(await ask({ fields: { 'accept-language': 'fr', 'x-plan': 'gold' } })).toBe('CONNECT_FAILED');
    expect(await ask()).toBe('CONNECT_FAILED');
  });

  test('obeys a caller who wants nothing kept, or nothing that was', async () => {
    const { ask } = thenGone(reply('one'), reply('two'));
    await ask({ fields: { 'cache-control': 'no-store' } });
    expect(await ask({ path: '/two' })).toBe('two');
    expect(await ask()).toBe('CONNECT_FAILED');
    expect(await ask({ path: '/two', fields: { 'cache-control': 'no-cache' } })).toBe('CONNECT_FAILED');
    expect(await ask({ path: '/two', fields: { range: 'bytes=0-1' } })).toBe('CONNECT_FAILED');
    expect(await ask({ path: '/two' })).toBe('two (stale, 0 s)');
  });

  test('gives the head alone for HEAD', async () => {
    const head = aReply(200, { 'content-length': '1234', etag: '"1"' });
    const { service } = withFallbacks([STALE], async (call) => {
      if (call.attempt === 1) throw new Refused();
      return head;
    });
    await service(aCall({ method: 'HEAD' }));
    const call = aCall({ method: 'HEAD' });
    call.attempt = 1;
    expect((await service(call)).headers).toMatchObject({
      'content-length': '1234',
      etag: '"1"',
      'inmesh-fallback': 'stale',
    });
  });

  test('gives the answer to the same idempotent gRPC message with the same metadata', async () => {
    const answers = [
      grpcReply(0, Buffer.from('hello'), headerFields()),
      grpcReply(0, Buffer.from('bonjour'), headerFields()),
    ];
    const { service } = withFallbacks([STALE], async (call) => {
      const answer = answers.shift();
      // As the transport does: not what the caller asked for.
      call.headers['grpc-timeout'] = '1S';
      call.headers['x-trace'] = String(answers.length);
      if (answer === undefined) throw new Refused();
      return answer;
    });
    const ask = async (message: string, metadata: HeaderFields = {}, idempotent = true): Promise<string> => {
      const call: Call = aCall({
        protocol: 'grpc',
        method: 'POST',
        path: '/reviews.Reviews/Get',
        headers: headerFields(metadata),
        body: new BytesBody(Buffer.from(message)),
        idempotent,
      });
      return service(call).then(textOf, (error: { code: string }) => error.code);
    };
    await ask('a', { traceparent: 'x' });
    await ask('b', { lang: 'fr' });
    expect(await ask('a', { traceparent: 'y' })).toBe('\0\0\0\0\x05hello');
    expect(await ask('b', { lang: 'fr' })).toBe('\0\0\0\0\x07bonjour');
    expect(await ask('b', { lang: 'de' })).toBe('CONNECT_FAILED');
    expect(await ask('c')).toBe('CONNECT_FAILED');
    expect(await ask('a', {}, false)).toBe('CONNECT_FAILED');
  });

  test('keeps no gRPC reply that ended with another status than OK', async () => {
    const failed = { ...grpcReply(0, Buffer.from('half'), headerFields()) };
    const body = new BytesBody(Buffer.from('half'), headerFields({ 'grpc-status': '13' }));
    let calls = 0;
    const { service } = withFallbacks([STALE], async () => {
      if (calls++ > 0) throw new Refused();
      return { ...failed, body };
    });
    const ask = (): Promise<string> =>
      service(aCall({ protocol: 'grpc', idempotent: true, body: new BytesBody(Buffer.from('a')) })).then(
        textOf,
        (error: { code: string }) => error.code,
      );
    expect(await ask()).toBe('half');
    expect(await ask()).toBe('CONNECT_FAILED');
  });
});

describe('the stale cache', () => {
  test('never holds more than its limit, and what was used last stays', () => {
    const kept = { status: 200, headers: {}, trailers: undefined, madeAt: 0, goodUntil: Number.POSITIVE_INFINITY };
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.boolean(), fc.nat(9), fc.nat(2))),
        fc.integer({ min: 1, max: 5 }),
        (steps, limit) => {
          const cache = new StaleCache(limit, new FakeClock());
          let newest: string[] = [];
          for (const [put, key, language] of steps) {
            const vary = key % 2 === 0 ? ['lang'] : [];
            const variant = (names: readonly string[]): string => names.map(() => String(language)).join();
            const full = vary.length === 0 ? `${key}` : `${key} ${language}`;
            if (put) cache.put(`${key}`, vary, variant, { ...kept, bytes: Buffer.from(full) });
            const got = cache.get(`${key}`, variant);
            if (put || newest.includes(full)) {
              newest = [...newest.filter((one) => one !== full), full].slice(-limit);
              expect(got?.bytes.toString()).toBe(full);
            }
            expect(cache.size).toBeLessThanOrEqual(limit);
          }
        },
      ),
    );
  });
});

describe('the rules of keeping', () => {
  test('whatever a server writes into its fields, it is decided', () => {
    fc.assert(
      fc.property(fc.string(), fc.string(), fc.string(), (control, vary, age) => {
        const headers = headerFields({ 'cache-control': control, vary, age });
        const terms = keeping(headerFields(), { ...aReply(), headers }, 1_000);
        expect(terms === undefined || (terms.maxAgeMs <= 1_000 && terms.ageMs >= 0)).toBe(true);
        if (/no-store/i.test(control) && /^[a-z-]+$/i.test(control)) expect(cacheControl(headers).size).toBe(1);
      }),
    );
  });

  test('directives are read with their values, quoted or not, whatever their case', () => {
    const headers = headerFields({ 'cache-control': 'Max-Age=5 , no-cache="a, b",PRIVATE,x=' });
    expect([...cacheControl(headers)]).toEqual([
      ['max-age', '5'],
      ['no-cache', 'a, b'],
      ['private', ''],
      ['x', ''],
    ]);
  });
});
