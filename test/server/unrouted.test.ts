import { afterEach, describe, expect, test } from 'vitest';
import type { JwtAuthentication } from '../../src/core/model/authentication.js';
import type { ExtAuthz } from '../../src/core/model/ext-authz.js';
import { MATCHES_ALL } from '../../src/core/model/match.js';
import type { Route } from '../../src/core/model/route.js';
import type { FilterChain } from '../../src/core/model/server.js';
import { behindMiddleware } from '../support/behind-middleware.js';
import { rawHttp1 } from '../support/raw-requests.js';
import { chain, route, table } from './xds/support.js';

/* Requests that no route takes go on to the application, which middleware is in front of: who may come in is asked of them as of all others. */

const closing: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

/** A token that nobody has. */
const TOKEN: JwtAuthentication = {
  providers: [],
  rules: [{ match: MATCHES_ALL, requirement: { kind: 'any', of: [] } }],
  bypassPreflight: false,
};
/** A service that nobody can ask. */
const ASKED: ExtAuthz = {
  name: 'ask',
  service: { kind: 'grpc', cluster: 'authz', timeoutMs: 200, metadata: [] },
  onFailure: 'deny',
  failureHeader: false,
  failureStatus: 403,
  body: undefined,
  allowedHeaders: [],
  disallowedHeaders: [],
  share: 1,
  denyOthers: false,
  context: {},
};

const GUARDS: readonly (readonly [name: string, status: number, guard: Pick<Route, 'authentication' | 'extAuthz'>])[] =
  [
    ['tokens', 401, { authentication: [TOKEN] }],
    ['an authorization service', 403, { extAuthz: [ASKED] }],
  ];

/** Status of a request that the route takes, and of one that none does. */
async function statuses(fields: Partial<FilterChain>, own: Partial<Route>): Promise<readonly unknown[]> {
  const config = table([{ ...route('/'), ...own }], ['reviews']);
  const routes = new Map(fields.routes?.kind === 'rds' ? [['routes', config]] : []);
  const defaultFilterChain = chain('all', {}, { routes: { kind: 'inline', config }, ...fields });
  const port = await behindMiddleware({ defaultFilterChain }, routes, closing);
  const slip = { why: '', target: '/' };
  return [await rawHttp1(port, slip), await rawHttp1(port, { ...slip, host: 'other' })];
}

describe.each(GUARDS)('%s', (_, status, guard) => {
  test('asked for by a route that came with the listener', async () => {
    expect(await statuses({}, guard)).toEqual([status, status]);
  });

  test('asked for by a route that came by name', async () => {
    expect(await statuses({ routes: { kind: 'rds', name: 'routes' } }, guard)).toEqual([status, status]);
  });

  test('asked for by the listener', async () => {
    expect(await statuses({ routes: { kind: 'rds', name: 'routes' }, ...guard }, {})).toEqual([200, status]);
  });
});
