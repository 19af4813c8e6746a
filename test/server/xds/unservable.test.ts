import { createServer, get, type IncomingMessage } from 'node:http';
import { once } from 'node:events';
import { expect, test } from 'vitest';
import { chain, freeAddress, listener, route, serve, table } from './support.js';

test('a route that cannot be served is refused, and the log says why: limits that cannot be kept let nobody in', async () => {
  const address = await freeAddress();
  const { serving, config, log, close } = serve(
    createServer((_, response) => response.end('served')),
    address,
  );
  const reason =
    'its rate limits are not supported: routes[0].route.rate_limits[0].actions[0].extension: is not supported';
  const routes = { kind: 'inline', config: table([route('/', { kind: 'unservable', reason })]) } as const;
  config.changed(listener(address, { defaultFilterChain: chain('main', {}, { routes }) }));
  await serving.ready();
  const [response] = (await once(get({ ...address, agent: false }), 'response')) as [IncomingMessage];
  response.resume();
  expect(response.statusCode).toBe(503);
  expect(log.join()).toContain(`requests that match it are refused, because ${reason}`);
  await close();
});
