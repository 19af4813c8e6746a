// node examples/fetch/main.mjs
//
// fetch through the mesh: three instances of a service, one of which is down.
import { meshClient } from 'inmesh';
import { serveHttp } from '../support/serve.mjs';

const one = await serveHttp((request, response) => response.end(`${request.url} from one`));
const two = await serveHttp((request, response) => response.end(`${request.url} from two`));
const gone = await serveHttp(() => {});
gone.close();

const mesh = meshClient({ services: { reviews: [one.address, two.address, gone.address] } });

// Standard fetch. Connections are kept, load is spread, and what did not reach a server is tried again on another.
for (let product = 1; product <= 10; product++) {
  const response = await mesh.fetch(`http://reviews/${product}`);
  console.log(response.status, await response.text());
}

// A limit for the whole call, retries included. Errors have a code that stays.
const slow = await serveHttp(() => {});
const patient = meshClient({ services: { slow: [slow.address] } });
await patient.fetch('http://slow/', { mesh: { timeoutMs: 50 } }).catch((error) => console.log(error.code));

const [row] = mesh.stats().rows;
console.log(`${row.requests} calls, ${row.successRate * 100}% succeeded`);

await Promise.all([mesh.close(), patient.close()]);
for (const server of [one, two, slow]) server.close();
