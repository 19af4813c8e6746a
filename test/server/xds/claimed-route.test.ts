import { describe, expect, test } from 'vitest';
import { withAmbient } from '../../../src/core/ambient.js';
import type { Route } from '../../../src/core/model/route.js';
import { seededRandom } from '../../../src/core/random.js';
import { inboundContext, type InboundContext } from '../../../src/server/context.js';
import type { Gate } from '../../../src/server/gate.js';
import type { InboundView } from '../../../src/server/view.js';
import { ChainRoutes, type Serve } from '../../../src/server/xds/chain-routes.js';
import { FakeClock } from '../../support/fake-clock.js';
import { chain, route, table } from './support.js';

/* Which route a request has where routes match by claims. */

const CLAIM = (value: string) => ({
  name: '@request.auth.claims.role',
  match: { kind: 'exact', value, ignoreCase: false } as const,
  invert: false,
  treatMissingAsEmpty: false,
});
const named = (name: string, headers: Route['match']['headers'] = []): Route => ({
  ...route('/', undefined, { headers }),
  name,
});
const ROUTES = [named('admins', [CLAIM('admin')]), named('others')];

/** What each gate heard. */
function served(routes: readonly Route[], role: string | undefined, late = false) {
  const heard: string[] = [];
  const gate = (name: string): Gate => ({
    refusal: () => void heard.push(name),
    handled: () => void heard.push(`${name} handled`),
    withdrawn: () => void heard.push(`${name} withdrawn`),
  });
  const identify = (context: InboundContext): void => {
    heard.push('who');
    if (role !== undefined) context.caller = { claims: { role } };
  };
  const identifying: Gate = {
    refusal: (context) => {
      if (!late) return void identify(context);
      return Promise.resolve().then(() => void identify(context));
    },
  };
  const policies = { gates: (_: unknown, { name }: Route) => [gate(name)], identifying: () => [identifying] };
  const source = { kind: 'inline', config: table(routes) } as const;
  const made = new ChainRoutes(
    chain('c', {}, { routes: source }),
    { random: seededRandom(1), clock: new FakeClock() } as never,
    policies,
  );
  made.update(new Map());
  const view: InboundView = {
    protocol: 'http',
    scheme: 'http',
    method: 'GET',
    host: 'a',
    path: '/',
    headers: {},
    peer: undefined,
    raw: {},
  };
  const context = inboundContext({}, new FakeClock());
  context.makeView = () => view;
  return { heard, context, decision: made.decide(view) };
}
const gateOf = (decision: unknown): Gate => (decision as Serve).gates?.[0] as Gate;

describe('a route that matches by claims', () => {
  test.each([
    ['admin', 'admins'],
    ['user', 'others'],
    [undefined, 'others'],
  ])('is that of role %s once it is known who calls', async (role, name) => {
    for (const late of [false, true]) {
      const { heard, context, decision } = served(ROUTES, role, late);
      expect(await gateOf(decision).refusal(context, 'http')).toBeUndefined();
      expect(heard).toEqual(['who', name]);
      gateOf(decision).handled?.(context);
      gateOf(decision).withdrawn?.(context);
      expect(heard.slice(2)).toEqual([`${name} handled`, `${name} withdrawn`]);
    }
  });

  test('is not chosen by the claims of a request in which this one is made', () => {
    const { context: outer } = served(ROUTES, undefined);
    outer.caller = { claims: { role: 'admin' } };
    const { heard, context, decision } = withAmbient(outer, () => served(ROUTES, undefined));
    withAmbient(outer, () => gateOf(decision).refusal(context, 'http'));
    expect(heard).toEqual(['who', 'others']);
  });

  test('changes the headers that it says, and not those of the route before', () => {
    const without = (name: string): Pick<Route, 'requestHeaders'> => ({ requestHeaders: { remove: [name], set: [] } });
    const routes = [
      { ...named('admins', [CLAIM('admin')]), ...without('x-admin') },
      { ...named('others'), ...without('x-other') },
    ];
    const { context, decision } = served(routes, 'admin');
    gateOf(decision).refusal(context, 'http');
    const view = context.view as InboundView;
    expect([...((decision as Serve).requestHeaders?.(view).names ?? [])]).toEqual(['x-admin']);
  });

  test('that no claim is, and no other route: the request is refused', () => {
    const { context, decision } = served(
      [named('not admins', [{ ...CLAIM('admin'), invert: true, treatMissingAsEmpty: true }])],
      'admin',
    );
    expect(gateOf(decision).refusal(context, 'http')).toMatchObject({ status: 404, grpcStatus: 14, code: 'NO_ROUTE' });
  });
});

test('where no route matches by claims nobody is asked first', () => {
  const { heard, context, decision } = served([named('others')], 'admin');
  gateOf(decision).refusal(context, 'http');
  expect(heard).toEqual(['others']);
});
