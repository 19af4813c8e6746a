import { getRequestListener } from '@hono/node-server';
import { Hono } from 'hono';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Mesh, meshClient } from '../../../src/index.js';
import { testMesh } from '../../../src/testing/index.js';
import { httpServer, type RunningHttp } from '../../support/http1-fixture.js';

/* `@hono/node-server` puts classes of its own in the place of Request and Response, for all of the process, when it makes its first listener. */
describe('where a framework has replaced Request and Response', () => {
  const old = { request: new Request('http://reviews/'), response: Response };
  let handler: () => Promise<Response>;
  const app = new Hono().get('/', () => handler());
  let backend: RunningHttp;
  let server: RunningHttp;
  let mesh: Mesh;
  beforeAll(async () => {
    backend = await httpServer((_, response) => response.writeHead(201, { 'x-from': 'reviews' }).end('hello'));
    server = await httpServer(getRequestListener(app.fetch));
    mesh = meshClient({ services: { reviews: [`127.0.0.1:${backend.port}`], gone: ['127.0.0.1:1'] } });
    expect(Response).not.toBe(old.response);
  });
  afterAll(async () => {
    await mesh.close();
    await server.close();
    await backend.close();
  });

  test.each<[string, () => Promise<Response>]>([
    ['as it is', () => mesh.fetch('http://reviews/')],
    ['wrapped', () => mesh.fetch('http://reviews/').then((reply) => new Response(reply.body, reply))],
    ['wrapped in one of the platform', () => mesh.fetch('http://reviews/').then((r) => new old.response(r.body, r))],
    ['of a request', () => mesh.fetch(new Request('http://reviews/'))],
    ['of a request from before', () => mesh.fetch(old.request)],
  ])('a handler passes on what the mesh has fetched: %s', async (_, passing) => {
    handler = passing;
    const reply = await fetch(server.origin);
    expect([reply.status, reply.headers.get('x-from'), await reply.text()]).toEqual([201, 'reviews', 'hello']);
  });

  test.each([
    ['made by the framework’s', () => new Response('{"stars":0}', { status: 203 })],
    ['made by the platform’s', () => new old.response('{"stars":0}', { status: 203 })],
  ])('a fallback or a mock answers with a Response, %s', async (_, answer) => {
    const reply = await mesh.fetch('http://gone/', { mesh: { fallback: answer } });
    expect([reply.status, await reply.text()]).toEqual([203, '{"stars":0}']);
    const mocked = testMesh({ services: { reviews: [answer] } });
    expect((await mocked.fetch('http://reviews/')).status).toBe(203);
    await mocked.close();
  });
});
