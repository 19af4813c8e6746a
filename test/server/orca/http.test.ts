import { createServer, type IncomingMessage, type RequestListener, type Server, type ServerResponse } from 'node:http';
import * as http2 from 'node:http2';
import type { AddressInfo } from 'node:net';
import express from 'express';
import fastify from 'fastify';
import { afterEach, describe, expect, test } from 'vitest';
import { headerFields } from '../../../src/core/headers.js';
import { backendMetrics, ORCA_HEADER } from '../../../src/core/orca.js';
import { meshMiddleware } from '../../../src/server/express.js';
import { meshPlugin } from '../../../src/server/fastify.js';
import { meshHandler } from '../../../src/server/http.js';
import { requestMetrics } from '../../../src/server/orca/current.js';
import { MAX_REPORT_BYTES } from '../../../src/server/orca/reporting.js';
import { recorderOf } from '../../support/load.js';

const cleanUp: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of cleanUp.splice(0).reverse()) await close();
});

async function listen(listener: RequestListener): Promise<string> {
  const server: Server = createServer(listener);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  cleanUp.push(() => {
    server.closeAllConnections();
    return new Promise((resolve) => server.close(resolve));
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
}

const reportOf = (response: Response) => backendMetrics(undefined, headerFields(Object.fromEntries(response.headers)));

describe('with orca, a reply says how loaded the server is', () => {
  test('of node:http, with what the handler has recorded before the head', async () => {
    const { recorder } = recorderOf();
    recorder.setApplicationUtilization(0.7);
    const url = await listen(
      meshHandler(
        async (_req: IncomingMessage, res: ServerResponse) => {
          await Promise.resolve();
          requestMetrics()?.recordRequestCost('rows', 42);
          res.end('ok');
          requestMetrics()?.recordRequestCost('rows', 43);
        },
        { orca: { recorder } },
      ),
    );
    const response = await fetch(url);
    expect(await response.text()).toBe('ok');
    expect(response.headers.get(ORCA_HEADER)).toMatch(/^JSON \{/);
    expect(reportOf(response)).toMatchObject({ applicationUtilization: 0.7, requestCost: { rows: 42 } });
  });

  test('of node:http2', async () => {
    const { recorder } = recorderOf();
    recorder.setCpuUtilization(0.4);
    const server = http2.createServer(
      meshHandler(
        (_req: http2.Http2ServerRequest, res: http2.Http2ServerResponse) => {
          res.writeHead(200, { 'x-own': 'a' });
          res.end('ok');
        },
        { orca: { recorder, format: 'bin' } },
      ),
    );
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const session = http2.connect(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
    cleanUp.push(() => {
      session.destroy();
      return new Promise((resolve) => server.close(resolve));
    });
    const head = await new Promise<http2.IncomingHttpHeaders>((resolve) =>
      session.request({ ':path': '/' }).on('response', resolve).resume(),
    );
    expect(head['x-own']).toBe('a');
    expect(head[ORCA_HEADER]).toMatch(/^BIN /);
    expect(backendMetrics(undefined, headerFields({ [ORCA_HEADER]: head[ORCA_HEADER] }))).toMatchObject({
      cpuUtilization: 0.4,
    });
  });

  test('and a client that goes away before the head harms nothing', async () => {
    const { clock, recorder } = recorderOf();
    let answer = (): unknown => 'not asked';
    const server = http2.createServer(
      meshHandler(
        (_req: http2.Http2ServerRequest, res: http2.Http2ServerResponse) => {
          answer = () => res.writeHead(200).end('late');
        },
        { orca: { recorder } },
      ),
    );
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const session = http2.connect(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
    cleanUp.push(() => new Promise((resolve) => server.close(resolve)));
    const closed = new Promise<void>((resolve) => server.once('stream', (stream) => stream.once('close', resolve)));
    const stream = session.request({ ':path': '/' });
    stream.on('error', () => {});
    await new Promise<void>((resolve) => server.once('stream', () => resolve()));
    session.destroy();
    await closed;
    expect(answer).not.toThrow();
    await clock.advance(1_000);
    expect(recorder.report()).toMatchObject({ rps: 1, eps: 0 });
  });

  test('of Express and of Fastify', async () => {
    const { recorder } = recorderOf();
    recorder.setNamedMetric('queue', 7);
    const orca = { recorder, format: 'text' } as const;
    const app = express();
    app.use(meshMiddleware({ orca }), express.json());
    app.get('/', (_req, res) => {
      requestMetrics()?.recordNamedMetric('of_this', 1);
      res.json({ a: 1 });
    });
    const fast = fastify();
    await fast.register(meshPlugin, { orca });
    fast.get('/', async () => {
      requestMetrics()?.recordNamedMetric('of_this', 1);
      return { a: 1 };
    });
    cleanUp.push(() => fast.close());
    for (const url of [await listen(app), await fast.listen({ port: 0, host: '127.0.0.1' })]) {
      const response = await fetch(url);
      expect(await response.json()).toEqual({ a: 1 });
      expect(response.headers.get(ORCA_HEADER)).toMatch(/^TEXT /);
      expect(reportOf(response)?.namedMetrics).toMatchObject({ queue: 7, of_this: 1 });
    }
  });

  test('and fields of the head stay as the handler has them, in every way of writing it', async () => {
    const { recorder } = recorderOf();
    const orca = { recorder };
    const cookies = ['set-cookie', 'a=1', 'set-cookie', 'b=2'];
    for (const write of [
      (res: ServerResponse) => res.writeHead(201, cookies),
      (res: ServerResponse) => res.writeHead(201, 'Made', cookies),
      (res: ServerResponse) => res.writeHead(201, { 'set-cookie': ['a=1', 'b=2'] }),
      (res: ServerResponse) => res.writeHead(201, 'Made', { 'set-cookie': ['a=1', 'b=2'] }),
    ]) {
      const url = await listen(meshHandler((_req: IncomingMessage, res: ServerResponse) => write(res).end(), { orca }));
      const response = await fetch(url);
      expect(response.status).toBe(201);
      expect(response.headers.getSetCookie()).toEqual(['a=1', 'b=2']);
      expect(reportOf(response)).toBeDefined();
    }
    const own = await listen(
      meshHandler(
        (_req: IncomingMessage, res: ServerResponse) => res.setHeader(ORCA_HEADER, 'TEXT cpu_utilization:0.9').end(),
        { orca },
      ),
    );
    expect((await fetch(own)).headers.get(ORCA_HEADER)).toBe('TEXT cpu_utilization:0.9');
  });

  test('and requests and failures are counted once each, however often the middleware is mounted', async () => {
    const { clock, recorder } = recorderOf();
    const app = express();
    app.use(meshMiddleware({ orca: { recorder } }), meshMiddleware({ orca: { recorder } }));
    app.get('/:status', (req, res) => void res.status(Number(req.params.status)).end());
    const url = await listen(app);
    for (const status of [200, 200, 404, 500]) await (await fetch(`${url}${status}`)).arrayBuffer();
    await clock.advance(1_000);
    expect(recorder.report()).toMatchObject({ rps: 4, eps: 1 });
  });

  test('a report that is too long for a head has the own metrics only', async () => {
    const { recorder } = recorderOf();
    recorder.setCpuUtilization(0.5);
    for (let i = 0; i < 500; i++) recorder.setNamedMetric(`metric-${i}`, i);
    const url = await listen(
      meshHandler((_req: IncomingMessage, res: ServerResponse) => res.end(), { orca: { recorder } }),
    );
    const response = await fetch(url);
    expect(response.headers.get(ORCA_HEADER)?.length).toBeLessThan(MAX_REPORT_BYTES);
    expect(reportOf(response)).toMatchObject({ cpuUtilization: 0.5, namedMetrics: {} });
  });
});

test('without orca a reply says nothing, and there is nothing to record into', async () => {
  let seen: unknown = 'not asked';
  const url = await listen(
    meshHandler((_req: IncomingMessage, res: ServerResponse) => {
      seen = requestMetrics();
      res.end();
    }),
  );
  expect((await fetch(url)).headers.has(ORCA_HEADER)).toBe(false);
  expect(seen).toBeUndefined();
  expect(requestMetrics()).toBeUndefined();
});
