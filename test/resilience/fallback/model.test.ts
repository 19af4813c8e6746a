import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { FallbackConfig } from '../../../src/core/model/fallback.js';
import { localReply } from '../../../src/core/reply.js';
import type { Service } from '../../../src/core/service.js';
import { aCall, aReply } from '../../support/calls.js';
import { Lost, Refused, STALE, STATIC, textOf, withFallbacks } from './support.js';

/* Any list of fallbacks, against a model of what the documentation says: asked in order, the first with an answer gives it, else the failure stands. */

const text = (body: string) => localReply(200, Object.create(null), Buffer.from(body));
const PATHS = ['/a', '/b', '/c'];

/** What a kind does when it is asked. */
const kind = fc.oneof(
  fc.constant('static' as const),
  fc.constant('stale' as const),
  fc.constantFrom('answers', 'nothing', 'throws', 'rejects', 'nonsense').map((does) => `function ${does}` as const),
  fc.constantFrom('answers', 'busy', 'fails', 'unknown').map((does) => `service ${does}` as const),
);
type KindName = typeof kind extends fc.Arbitrary<infer T> ? T : never;

const configOf = (name: KindName): FallbackConfig => {
  if (name === 'static') return STATIC;
  if (name === 'stale') return { ...STALE, maxEntries: 2, maxAgeMs: 1_000 };
  const [by, does] = name.split(' ') as ['function' | 'service', string];
  return by === 'function' ? { kind: by, name: does } : { kind: by, cluster: does };
};
const fallbacks = {
  answers: () => ({ body: 'function' }),
  nothing: () => undefined,
  throws: () => {
    throw new Error('broken');
  },
  rejects: () => Promise.reject(new Error('broken')),
  nonsense: () => ({ status: 7 }),
};
const clusters: Record<string, Service> = {
  answers: async () => text('service'),
  busy: async () => aReply(504),
  fails: () => Promise.reject(new Refused()),
};

const step = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({ method: fc.constant('GET'), path: fc.constantFrom(...PATHS), up: fc.boolean() }),
  },
  fc.record({ method: fc.constantFrom('PUT', 'POST'), path: fc.constantFrom(...PATHS), up: fc.boolean() }),
  fc.record({ wait: fc.integer({ min: 1, max: 700 }) }),
);

/** The last good replies to GET: the one used last at the end, no more than two, none older than a second. */
class StaleModel {
  readonly kept = new Map<string, { readonly body: string; readonly until: number }>();
  put(path: string, body: string, now: number): void {
    this.kept.delete(path);
    this.kept.set(path, { body, until: now + 1_000 });
    for (const oldest of this.kept.keys()) if (this.kept.size > 2) this.kept.delete(oldest);
  }
  get(path: string, now: number): string | undefined {
    const found = this.kept.get(path);
    this.kept.delete(path);
    if (found === undefined || found.until < now) return undefined;
    this.kept.set(path, found);
    return found.body;
  }
}

test('any chain of fallbacks answers as the model does, with what it remembers', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(kind, { minLength: 1, maxLength: 4 }),
      fc.boolean(),
      fc.array(step, { maxLength: 25 }),
      async (names, replies, steps) => {
        let up = true;
        let served = 0;
        const failure = replies ? '503' : 'CONNECTION_LOST';
        const next: Service = async () => {
          if (up) return text(`good ${++served}`);
          if (replies) return aReply(503);
          throw new Lost();
        };
        const { service, clock } = withFallbacks(names.map(configOf), next, { fallbacks, clusters });
        const models = names.map((name) => (name === 'stale' ? new StaleModel() : undefined));
        const said = (method: string, path: string): string => {
          for (const [i, name] of names.entries()) {
            const stale = method === 'GET' ? models[i]?.get(path, clock.now()) : undefined;
            if (stale !== undefined) return `${stale} (stale)`;
            if (name === 'static') return '[] (static)';
            if (name === 'function answers') return 'function (function)';
            // A POST may have done its work already.
            if (name === 'service answers' && method !== 'POST') return 'service (service)';
          }
          return failure;
        };
        for (const one of steps) {
          if ('wait' in one) {
            await clock.advance(one.wait);
            continue;
          }
          const { method, path } = one;
          up = one.up;
          const expected = up ? `good ${served + 1}` : said(method, path);
          const got = await service(aCall({ method, path })).then(
            async (reply) => {
              const body = await textOf(reply);
              const by = reply.headers['inmesh-fallback'];
              return reply.status === 200 ? `${body}${by === undefined ? '' : ` (${by})`}` : `${reply.status}`;
            },
            (error: { readonly code: string }) => error.code,
          );
          expect(got).toBe(expected);
          const changed = method !== 'GET' && (up || got === 'service (service)');
          for (const model of models) {
            if (up && method === 'GET') model?.put(path, got, clock.now());
            else if (changed) model?.kept.delete(path);
          }
        }
      },
    ),
    { numRuns: 300 },
  );
});
