// node examples/deadlines/hono.mjs
//
// A Hono service with work of its own that is no call: it stops when its caller goes away. Requests whose caller has given up before they came are refused.
import { getRequestListener } from '@hono/node-server';
import { Hono } from 'hono';
import { meshClient } from 'inmesh';
import { meshMiddleware } from 'inmesh/hono';
import { setImmediate } from 'node:timers/promises';
import { serveHttp } from '../support/serve.mjs';

const mesh = meshClient();
const app = new Hono();
app.use(meshMiddleware({ mesh, expired: { mode: 'enforce', maxShare: 1 } }));
app.get('/report', async (c) => {
  const signal = mesh.signal();
  console.log('report: begun');
  customer.abort();
  while (!signal.aborted) await setImmediate();
  console.log(`report: stopped, ${signal.reason.code}`);
  return c.text('a report');
});
const reports = await serveHttp(getRequestListener(app.fetch));

const customer = new AbortController();
const client = meshClient({ services: { reports: [reports.address] } });
await client
  .fetch('http://reports/report', { signal: customer.signal })
  .catch((error) => console.log(`customer: ${error.name}`));

const late = await fetch(`http://${reports.address}/report`, { headers: { 'inmesh-timeout-ms': '0' } });
console.log(late.status, (await late.json()).code);

await Promise.all([client.close(), mesh.close()]);
reports.close();
