import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';

/*
 * As many services as the first argument says, each on a port of its own. Over HTTP at `control`: GET /ports; GET /down?yes=1 has all of them answer 503,
 * 0 answer again; GET /seen tells how many requests each has got since it was asked last.
 */
let down = false;
const seen: number[] = [];

const listening = (server: Server): Promise<number> =>
  new Promise((resolve) => {
    server.keepAliveTimeout = 60_000;
    server.listen(0, '127.0.0.1', () => resolve((server.address() as AddressInfo).port));
  });

const ports = await Promise.all(
  Array.from({ length: Number(process.argv[2]) }, (_, i) => {
    seen[i] = 0;
    return listening(
      createServer((request, response) => {
        seen[i] = (seen[i] as number) + 1;
        request.resume();
        response.writeHead(down ? 503 : 200, { 'content-type': 'text/plain' }).end('ok');
      }),
    );
  }),
);
const control = createServer((request, response) => {
  const url = new URL(request.url ?? '/', 'http://control');
  if (url.pathname === '/down') down = url.searchParams.get('yes') === '1';
  const answer = url.pathname === '/seen' ? seen.slice() : ports;
  if (url.pathname === '/seen') seen.fill(0);
  response.end(JSON.stringify(answer));
});
process.send?.({ port: ports[0], control: await listening(control) });
process.on('disconnect', () => process.exit());
