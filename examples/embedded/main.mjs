// node examples/embedded/main.mjs
//
// A file and nothing else: mesh.yaml is compiled in this process, and again whenever it changes.
import { meshClient } from 'inmesh';
import { serveHttp } from '../support/serve.mjs';

const instances = [
  await serveHttp((_, response) => response.end('v1, first instance'), 18411),
  await serveHttp((_, response) => response.end('v1, second instance'), 18412),
  await serveHttp((_, response) => response.end('v2'), 18413),
];

const mesh = meshClient({ config: `${import.meta.dirname}/mesh.yaml` });

const ask = async (headers) => (await mesh.fetch('http://reviews/', { headers })).text();
console.log('a user gets:', await ask({}));
console.log('a user gets:', await ask({}));
console.log('a tester gets:', await ask({ 'x-user': 'tester' }));

await mesh.close();
for (const instance of instances) instance.close();
