// node examples/deadlines/express.mjs
//
// An Express service whose caller waits for two seconds. What it calls gets what is left of them, less a little to answer in; what must be done whatever
// becomes of the caller is detached.
import express from 'express';
import { meshClient } from 'inmesh';
import { meshMiddleware } from 'inmesh/express';
import { serveHttp } from '../support/serve.mjs';

/** Says how long its caller waits. */
const leaf = (name) =>
  serveHttp(({ headers }, response) => {
    const left = headers['inmesh-timeout-ms'];
    console.log(
      `${name}: ${left === undefined ? 'no deadline' : `${left <= 1_995 ? 'less than' : 'all of'} the two seconds`}`,
    );
    response.end('7');
  });
const stock = await leaf('stock');
const audit = await leaf('audit');

const mesh = meshClient({ services: { stock: [stock.address], audit: [audit.address] } });
const app = express();
app.use(meshMiddleware({ mesh }));
app.post('/orders', async (_request, response) => {
  const left = await (await mesh.fetch('http://stock/')).text();
  await mesh.detach(() => mesh.fetch('http://audit/'));
  response.json({ left });
});
const orders = await serveHttp(app);

const customer = meshClient({ services: { orders: [orders.address] } });
const reply = await customer.fetch('http://orders/orders', { method: 'POST', mesh: { timeoutMs: 2_000 } });
console.log(reply.status, await reply.text());

await Promise.all([customer.close(), mesh.close()]);
for (const server of [orders, stock, audit]) server.close();
