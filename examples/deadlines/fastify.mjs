// node examples/deadlines/fastify.mjs
//
// A Fastify service that gives a part of its work less time than it has itself, and does without it when that is not enough.
import fastify from 'fastify';
import { meshClient } from 'inmesh';
import { meshPlugin } from 'inmesh/fastify';
import { serveHttp } from '../support/serve.mjs';

const catalog = await serveHttp((_request, response) => response.end('["hamlet"]'));
const stuck = await serveHttp((_request, response) => {
  response.once('close', () => console.log('advice: nobody waits any more'));
});

const mesh = meshClient({ services: { catalog: [catalog.address], advice: [stuck.address] } });
const app = fastify();
await app.register(meshPlugin, { mesh });
app.get('/', async () => {
  const [books, advice] = await Promise.all([
    mesh.fetch('http://catalog/').then((reply) => reply.json()),
    mesh.withDeadline(100, () => mesh.fetch('http://advice/').then((reply) => reply.json())).catch(() => []),
  ]);
  return { books, advice };
});
await app.listen({ host: '127.0.0.1', port: 0 });

const customer = meshClient({ services: { shop: [`127.0.0.1:${app.server.address().port}`] } });
const reply = await customer.fetch('http://shop/', { mesh: { timeoutMs: 10_000 } });
console.log(reply.status, await reply.text());

await Promise.all([customer.close(), mesh.close(), app.close()]);
for (const server of [catalog, stuck]) server.close();
