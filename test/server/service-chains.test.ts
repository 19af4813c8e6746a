import { afterEach, expect, test } from 'vitest';
import type { JwtAuthentication } from '../../src/core/model/authentication.js';
import { MATCHES_ALL } from '../../src/core/model/match.js';
import type { FilterChain, ServerListener } from '../../src/core/model/server.js';
import { inboundContext } from '../../src/server/context.js';
import { serviceChains } from '../../src/server/service-chains.js';
import { behindMiddleware } from '../support/behind-middleware.js';
import { rawHttp1 } from '../support/raw-requests.js';
import { chain, listener, route, table } from './xds/support.js';

/* A listener with several filter chains, of which middleware applies the one that the connection would have had. */

const closing: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

const TOKEN: JwtAuthentication = {
  providers: [],
  rules: [{ match: MATCHES_ALL, requirement: { kind: 'any', of: [] } }],
  bypassPreflight: false,
};
const guarded = { routes: { kind: 'inline', config: table([{ ...route('/'), authentication: [TOKEN] }]) } } as const;
const local = { source: [{ address: '127.0.0.0', prefixLength: 8 }] };
const far = { source: [{ address: '10.0.0.0', prefixLength: 8 }] };

const status = async (fields: Partial<ServerListener>): Promise<number | undefined> =>
  rawHttp1(await behindMiddleware(fields, new Map(), closing), { why: '', target: '/' });

test('what a chain asks is asked of the connections that are its own, and of no others', async () => {
  const open = chain('open');
  expect(await status({ filterChains: [chain('local', local, guarded)], defaultFilterChain: open })).toBe(401);
  expect(await status({ filterChains: [chain('far', far, guarded)], defaultFilterChain: open })).toBe(200);
  const shut = chain('shut', {}, guarded);
  expect(await status({ filterChains: [chain('local', local)], defaultFilterChain: shut })).toBe(200);
});

test('a connection that no chain takes is let in by none', async () => {
  const filterChains = [
    chain('far', far),
    chain('farther', { source: [{ address: '11.0.0.0', prefixLength: 8 }] }, guarded),
  ];
  expect(await status({ filterChains, defaultFilterChain: undefined })).toBe(503);
});

test('chains that say the same are one for everybody; where they differ, who has no address has none', () => {
  const nobody = inboundContext({});
  const chainOf = (...filterChains: FilterChain[]): string | undefined =>
    serviceChains(listener({ host: '0.0.0.0', port: 80 }, { filterChains, defaultFilterChain: undefined })).of(nobody)
      ?.name;
  expect(chainOf(chain('mtls', { tls: true }), chain('plain', { rawBuffer: true }))).toBe('mtls');
  expect(chainOf(chain('mtls', { tls: true }, guarded), chain('plain', { rawBuffer: true }))).toBeUndefined();
});
