// node examples/class-of-service/main.mjs
//
// Classes of service: callers who are not known get one answer in 600 seconds, each by its address; those who are known as many as they like, and premium
// customers have a pool of servers to themselves. Who tries the service out gets 60 in an hour, and is told so.
import { meshClient, meshHandler } from 'inmesh';
import { serveHttp } from '../support/serve.mjs';

const pools = [
  await serveHttp((_request, response) => response.end('a report'), 18421),
  await serveHttp((_request, response) => response.end('a report from the premium pool'), 18422),
];
const mesh = meshClient({ config: `${import.meta.dirname}/mesh.yaml` });

/** What a verified token says. How tokens are verified is another story. */
const CLAIMS = {
  'Bearer ada': { sub: 'ada', plan: 'trial' },
  'Bearer bob': { sub: 'bob', plan: 'member' },
  'Bearer cyd': { sub: 'cyd', plan: 'premium' },
};
const claimsOf = ({ headers }) => CLAIMS[headers.authorization];

const handler = async (request, response) => {
  const plan = claimsOf(request)?.plan ?? 'none';
  const report = await mesh.fetch('http://reports/', { headers: { 'x-plan': plan } });
  response.end(await report.text());
};
const api = await serveHttp(
  meshHandler(handler, {
    mesh,
    service: 'api',
    caller: (request) => ({ claims: claimsOf(request) }),
    // One proxy in front of it says where requests come from.
    trustedProxies: 1,
  }),
  18420,
);

await mesh.ready();

/** A customer's call, from an address, through that proxy. */
async function ask(who, address, token) {
  const headers = { 'x-forwarded-for': address, ...(token !== undefined && { authorization: token }) };
  const reply = await fetch(`http://${api.address}/`, { headers });
  const [limit, remaining, reset] = ['limit', 'remaining', 'reset'].map((name) =>
    reply.headers.get(`x-ratelimit-${name}`),
  );
  const seconds = Math.round(reset - Date.now() / 1_000);
  const limits = limit === null ? 'no limit' : `${limit} / ${remaining} / in ${Math.round(seconds / 60)} min`;
  const wait = reply.headers.get('retry-after');
  const body = reply.ok ? await reply.text() : `come again in ${Math.round(wait / 60)} min`;
  return `${who}: ${reply.status} ${body} (${limits})`;
}

console.log(await ask('anonymous', '203.0.113.7'));
console.log(await ask('the same', '203.0.113.7'));
console.log(await ask('another', '203.0.113.8'));

for (let call = 1; call < 60; call++) await ask('trial', '203.0.113.7', 'Bearer ada');
console.log(await ask('trial, 60th', '203.0.113.7', 'Bearer ada'));
console.log(await ask('trial, 61st', '203.0.113.9', 'Bearer ada'));

for (let call = 1; call < 100; call++) await ask('member', '203.0.113.7', 'Bearer bob');
console.log(await ask('member, 100th', '203.0.113.7', 'Bearer bob'));
console.log(await ask('premium', '203.0.113.7', 'Bearer cyd'));

await mesh.close();
for (const server of [api, ...pools]) server.close();
