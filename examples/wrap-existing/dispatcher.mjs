// node examples/wrap-existing/dispatcher.mjs
//
// Code that is written against undici, or the platform's fetch, keeps its calls: it is given the mesh as their dispatcher.
import { meshClient } from 'inmesh';
import { request } from 'undici';
import { serveHttp } from '../support/serve.mjs';

const server = await serveHttp((request, response) => response.end(`${request.method} ${request.url}`));
const mesh = meshClient({ services: { reviews: [server.address] } });
const { dispatcher } = mesh;

const { statusCode, body } = await request('http://reviews/1', { dispatcher });
console.log('undici.request:', statusCode, await body.text());

const response = await fetch('http://reviews/2', { dispatcher });
console.log('fetch:', response.status, await response.text());

await mesh.close();
server.close();
