import { afterEach, describe, expect, test } from 'vitest';
import { aReply } from '../support/calls.js';
import { aCorsPolicy, aForward, aRoute } from '../support/targets.js';
import { routing } from '../client/router/support.js';
import { Cleanup, get, proxyFor } from './support.js';

const cleanup = new Cleanup();
afterEach(() => cleanup.run());

/** The proxy in front of the router of applications: what routes do, they do here as well. */
describe('a request through the proxy', () => {
  test('has its preflight answered by the route’s CORS policy', async () => {
    const cors = aCorsPolicy({
      allowOrigin: [{ kind: 'suffix', value: '.example', ignoreCase: false }],
      allowMethods: '*',
      allowHeaders: '*',
    });
    const { router, sent } = await routing([aRoute({ action: aForward({ a: 1 }), cors })]);
    const proxy = await proxyFor(cleanup, router.service);
    const headers = { host: 'reviews', origin: 'https://shop.example', 'access-control-request-method': 'PUT' };
    const preflight = await get(proxy.port, { method: 'OPTIONS', headers });
    expect(preflight).toMatchObject({ status: 200, text: '' });
    expect(preflight.headers).toMatchObject({
      'access-control-allow-origin': 'https://shop.example',
      'access-control-allow-methods': 'PUT',
    });
    expect(sent).toEqual([]);
    expect((await get(proxy.port, { headers })).headers['access-control-allow-origin']).toBe('https://shop.example');
    expect(sent).toHaveLength(1);
  });

  test('shows formats the connection that it came by, and goes by the caller’s address', async () => {
    const route = aRoute({
      action: aForward({ a: 1 }, { hashPolicies: [{ kind: 'source', terminal: false }] }),
      requestHeaders: {
        remove: [],
        set: [
          {
            name: 'x-from',
            value: '%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT% %DOWNSTREAM_LOCAL_PORT% %PROTOCOL%',
            action: 'append',
          },
        ],
      },
    });
    const { router, sent } = await routing([route], () => aReply(200));
    const proxy = await proxyFor(cleanup, router.service);
    await get(proxy.port, { headers: { host: 'reviews' } });
    await get(proxy.port, { headers: { host: 'reviews' } });
    expect(sent[0]?.call.headers['x-from']).toBe(`127.0.0.1 ${proxy.port} HTTP/1.1`);
    expect(sent[0]?.call.hash).toBeDefined();
    expect(sent[1]?.call.hash).toBe(sent[0]?.call.hash);
  });
});
