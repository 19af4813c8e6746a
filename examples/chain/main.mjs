// node examples/chain/main.mjs
//
// A service that receives a call and makes two. The trace and what is left of the caller's time go with them; no line of the handler
// speaks of either.
import express from 'express';
import { meshClient } from 'inmesh';
import { meshMiddleware } from 'inmesh/express';
import { serveHttp } from '../support/serve.mjs';

/** A service at the end of the chain; says what came with the call. */
const leaf = (name) =>
  serveHttp(({ headers }, response) => {
    const traceId = headers.traceparent?.split('-')[1];
    const left = Number(headers['x-envoy-expected-rq-timeout-ms']);
    console.log(`${name}: trace ${traceId}, ${left > 0 && left <= 2_000 ? 'less than 2 s left' : 'no deadline'}`);
    response.end(`{"from":"${name}"}`);
  });
const ratings = await leaf('ratings');
const details = await leaf('details');

const mesh = meshClient({ services: { ratings: [ratings.address], details: [details.address] } });
const app = express();
app.use(meshMiddleware());
app.get('/products/:id', async (request, response) => {
  const replies = await Promise.all([
    mesh.fetch(`http://ratings/${request.params.id}`),
    mesh.fetch(`http://details/${request.params.id}`),
  ]);
  response.json(await Promise.all(replies.map((reply) => reply.json())));
});
const frontend = await serveHttp(app);

// The customer: has a trace already, and two seconds.
const customer = meshClient({ services: { frontend: [frontend.address] } });
const reply = await customer.fetch('http://frontend/products/7', {
  headers: { traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01' },
  mesh: { timeoutMs: 2_000 },
});
console.log(reply.status, await reply.text());

await Promise.all([customer.close(), mesh.close()]);
for (const server of [frontend, ratings, details]) server.close();
