import { expect, test } from 'vitest';
import { systemClock } from '../../src/core/clock.js';
import { headerFields } from '../../src/core/headers.js';
import { silentLogger } from '../../src/core/log.js';
import { type Meter, noMeter } from '../../src/core/meter.js';
import type { JwtAuthentication } from '../../src/core/model/authentication.js';
import { MATCHES_ALL } from '../../src/core/model/match.js';
import type { Route } from '../../src/core/model/route.js';
import type { FilterChain } from '../../src/core/model/server.js';
import { systemRandom } from '../../src/core/random.js';
import { authentication } from '../../src/server/authentication.js';
import { inboundContext } from '../../src/server/context.js';
import type { InboundView } from '../../src/server/view.js';
import { HeardMeter } from '../support/served-over-ads.js';

const ADMIN: JwtAuthentication = {
  providers: [],
  rules: [
    {
      match: { ...MATCHES_ALL, path: { kind: 'prefix', value: '/admin', ignoreCase: false } },
      requirement: { kind: 'any', of: [] },
    },
    { match: MATCHES_ALL, requirement: undefined },
  ],
  bypassPreflight: false,
};

const status = async (path: string, meter: Meter = noMeter): Promise<number | undefined> => {
  const policy = authentication({
    clock: systemClock,
    random: systemRandom,
    meter,
    logger: silentLogger,
    limits: undefined,
  });
  const gate = policy.gate({} as FilterChain, { authentication: [ADMIN] } as unknown as Route);
  const context = inboundContext({});
  const view = { protocol: 'http', scheme: 'http', method: 'GET', host: 'a', path, headers: headerFields(), raw: {} };
  context.makeView = () => view as unknown as InboundView;
  return (await gate?.refusal(context, 'http'))?.status;
};

test('where tokens are asked for by path, a path that can be read in two ways gets past none of the rules', async () => {
  expect(await status('/public')).toBeUndefined();
  expect(await status('/admin/users')).toBe(401);
  for (const path of [
    '//admin',
    '/./admin',
    '/public/../admin',
    '/%61dmin',
    '/%2fadmin',
    '/public;/../admin',
    '/\\admin',
    '/%252fadmin',
  ])
    expect([path, await status(path)]).toEqual([path, 400]);
});

test('requests that are refused for their token are counted, by what was wrong with it', async () => {
  const meter = new HeardMeter();
  expect(await status('/admin', meter)).toBe(401);
  expect(await status('/public', meter)).toBeUndefined();
  expect(meter.events).toEqual([{ kind: 'authn:refused', protocol: 'http', reason: 'missing' }]);
});
