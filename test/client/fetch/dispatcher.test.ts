import { Readable } from 'node:stream';
import { Agent, Dispatcher, FormData as UndiciFormData, request, stream as undiciStream } from 'undici';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { MeshDispatcher } from '../../../src/client/fetch/dispatcher.js';
import { ConnectError } from '../../../src/client/transport/errors.js';
import { StreamBody } from '../../../src/core/body.js';
import { headerFields } from '../../../src/core/headers.js';
import { localReply, type Reply } from '../../../src/core/reply.js';
import { scripted } from '../../support/calls.js';
import { playground, wiredFetch } from '../../support/fetch-fixture.js';
import { failureOf, type RunningHttp, until } from '../../support/http1-fixture.js';

let server: RunningHttp;
const wired = wiredFetch();
const mesh = new MeshDispatcher(wired.service);
const agent = new Agent();
beforeAll(async () => {
  server = await playground();
});
afterAll(async () => {
  await wired.close();
  await agent.close();
  await server.close();
});

/** Headers that differ by time, or that only one of two connections says. */
const OWN = ['date', 'connection', 'keep-alive'];

describe('the same request through the mesh and through an Agent', () => {
  type Program = (dispatcher: Dispatcher, at: string) => Promise<unknown>;
  const whole = async (
    dispatcher: Dispatcher,
    url: string,
    options: Parameters<typeof request>[1] = {},
  ): Promise<unknown> => {
    const { statusCode, statusText, headers, trailers, body } = await request(url, { ...options, dispatcher });
    for (const name of OWN) delete headers[name];
    return { statusCode, statusText, headers, trailers, text: await body.text() };
  };
  const echo =
    (options: Parameters<typeof request>[1]): Program =>
    (dispatcher, at) =>
      whole(dispatcher, `${at}/echo`, { method: 'POST', ...options });
  async function* parts() {
    yield Buffer.from('a');
    yield Buffer.from('b');
  }

  const programs: Record<string, Program> = {
    'a text': (dispatcher, at) => whole(dispatcher, `${at}/hello`),
    'a 404': (dispatcher, at) => whole(dispatcher, `${at}/nowhere`),
    'a HEAD': (dispatcher, at) => whole(dispatcher, `${at}/hello`, { method: 'HEAD' }),
    'several cookies': (dispatcher, at) => whole(dispatcher, `${at}/cookies`),
    'a query': (dispatcher, at) => whole(dispatcher, `${at}/echo`, { query: { a: 1, b: ['x', 'y z'] } }),
    'a compressed body, which stays compressed': async (dispatcher, at) => {
      const { headers, body } = await request(`${at}/gzip`, { dispatcher });
      return [headers['content-encoding'], Buffer.from(await body.arrayBuffer()).toString('base64')];
    },
    'a body of megabytes': async (dispatcher, at) =>
      (await (await request(`${at}/large`, { dispatcher })).body.arrayBuffer()).byteLength,
    'a slow reader': async (dispatcher, at) => {
      const { body } = await request(`${at}/large`, { dispatcher, highWaterMark: 1024 });
      let size = 0;
      for await (const chunk of body) {
        size += (chunk as Buffer).byteLength;
        await new Promise((resolve) => setImmediate(resolve));
      }
      return size;
    },
    'undici.stream': async (dispatcher, at) => {
      const { Writable } = await import('node:stream');
      let text = '';
      const sink = new Writable({
        write(chunk: Buffer, _encoding, done) {
          text += chunk.toString();
          done();
        },
      });
      await undiciStream(`${at}/chunks`, { dispatcher, method: 'GET' }, () => sink);
      return text;
    },
    'a string': echo({ body: 'text' }),
    bytes: echo({ body: Buffer.from('bytes') }),
    'a Readable': (dispatcher, at) =>
      echo({ body: Readable.from([Buffer.from('a'), Buffer.from('b')]) })(dispatcher, at),
    'headers as a list': echo({ body: 'x', headers: ['X-A', '1', 'x-b', '2'] }),
    'headers with several values': echo({ body: 'x', headers: { 'x-a': ['1', '2'], 'content-type': 'text/x' } }),
    'a header that cannot be': echo({ headers: { 'x-a': 'a\nb' } }),
    'a redirect, which is not followed': (dispatcher, at) => whole(dispatcher, `${at}/redirect/302?to=/hello`),
  };
  test.each(Object.entries(programs))('%s', async (_name, program) => {
    const outcome = (dispatcher: Dispatcher): Promise<unknown> =>
      program(dispatcher, server.origin).catch(() => 'failed');
    const [ours, theirs] = [await outcome(mesh), await outcome(agent)];
    expect(ours).toEqual(theirs);
  });

  test('an iterable with a length, and one without', async () => {
    for (const headers of [{}, { 'content-length': '2' }]) {
      const { body } = await request(`${server.origin}/echo`, {
        method: 'POST',
        body: Readable.from(parts()),
        headers,
        dispatcher: mesh,
      });
      const seen = (await body.json()) as { headers: Record<string, string>; body: string };
      expect([seen.body, seen.headers['content-length']]).toEqual([
        'ab',
        (headers as Record<string, string>)['content-length'],
      ]);
    }
  });

  test("undici's own FormData", async () => {
    const form = new UndiciFormData();
    form.append('a', '1');
    const { body } = await request(`${server.origin}/echo`, { method: 'POST', body: form, dispatcher: mesh });
    expect(((await body.json()) as { body: string }).body).toContain('name="a"');
  });
});

describe("the platform's fetch over the mesh's dispatcher", () => {
  const through = (url: string, init: object = {}): Promise<Response> =>
    fetch(url, { ...init, dispatcher: mesh } as unknown as RequestInit);

  test('reads, writes, follows and decompresses', async () => {
    expect(await (await through(`${server.origin}/hello`)).text()).toBe('hello');
    expect(await (await through(`${server.origin}/gzip`)).text()).toContain('compressed compressed');
    expect((await through(`${server.origin}/hops/3`)).url).toBe(`${server.origin}/hops/0`);
    expect((await through(`${server.origin}/cookies`)).headers.getSetCookie()).toEqual(['a=1; Path=/', 'b=2']);
    const answer = await (await through(`${server.origin}/echo`, { method: 'POST', body: 'text' })).json();
    expect(answer).toMatchObject({ method: 'POST', body: 'text', headers: { 'content-length': '4' } });
    expect((await (await through(`${server.origin}/large`)).arrayBuffer()).byteLength).toBe(3_000_000);
  });

  test('fails with the error of the mesh as its cause', async () => {
    const cause = new ConnectError('10.0.0.1:80', 'ECONNREFUSED');
    const failing = new MeshDispatcher(scripted(cause));
    const error = await failureOf<Error & { cause: unknown }>(
      fetch('http://reviews/', { dispatcher: failing } as unknown as RequestInit),
    );
    expect(error.message).toBe('fetch failed');
    expect(error.cause).toBe(cause);
  });

  test('aborts', async () => {
    const controller = new AbortController();
    const pending = failureOf(through(`${server.origin}/hang`, { signal: controller.signal }));
    setImmediate(() => controller.abort());
    expect((await pending).name).toBe('AbortError');
  });
});

describe('the headers of a reply', () => {
  const rawFrom = async (change: (reply: Reply) => void): Promise<string[]> => {
    const dispatcher = new MeshDispatcher(async (call) => {
      const reply = await wired.service(call);
      change(reply);
      return reply;
    });
    const { headers, body } = await request(`${server.origin}/hello`, { dispatcher, responseHeaders: 'raw' });
    await body.dump();
    return headers as unknown as string[];
  };

  test('are those of the wire when no policy read them', async () => {
    expect(await rawFrom(() => {})).toContain('Date');
  });

  test('are those that policies left when one read them', async () => {
    const raw = await rawFrom(({ headers }) => {
      headers['x-added'] = ['1', '2'];
      delete headers.date;
    });
    expect(raw.join('\n')).toContain('x-added\n1\nx-added\n2');
    expect(raw.map((each) => each.toLowerCase())).not.toContain('date');
  });

  test('come as bytes to the controller of undici 7, too, unless a policy read them', async () => {
    for (const read of [false, true]) {
      const dispatcher = new MeshDispatcher(async (call) => {
        const reply = await wired.service(call);
        if (read) void reply.headers;
        return reply;
      });
      const seen = await new Promise<unknown>((resolve, reject) =>
        dispatcher.dispatch(
          { origin: server.origin, path: '/hello', method: 'GET' },
          {
            onRequestStart() {},
            onResponseStart: (controller, _status, headers) =>
              resolve([Array.isArray(controller.rawHeaders), headers['content-type']]),
            onResponseError: (_controller, error) => reject(error),
          },
        ),
      );
      expect(seen).toEqual([!read, 'text/plain']);
    }
  });
});

describe('the dispatcher', () => {
  const options: Dispatcher.DispatchOptions = { origin: 'http://reviews', path: '/', method: 'GET' };

  /** A handler that writes down what it is told. */
  function recorder(more: Partial<Dispatcher.DispatchHandler> = {}) {
    const events: string[] = [];
    let controller: Dispatcher.DispatchController | undefined;
    const handler: Dispatcher.DispatchHandler = {
      onRequestStart: (given) => {
        controller = given;
        events.push('start');
      },
      onResponseStart: (_controller, status) => events.push(`head ${status}`),
      onResponseData: (_controller, chunk) => events.push(`data ${chunk.toString()}`),
      onResponseEnd: () => events.push('end'),
      onResponseError: (_controller, error) => events.push(`error ${error.name}`),
      ...more,
    } as Dispatcher.DispatchHandler;
    return { events, handler, controller: () => controller as Dispatcher.DispatchController };
  }

  const streaming = (): { reply: Reply; body: StreamBody; cancelled: () => boolean } => {
    let cancelled = false;
    const body = new StreamBody({
      resume() {},
      cancel: () => {
        cancelled = true;
      },
    });
    return { reply: { status: 200, headers: headerFields(), body, onEnd() {} }, body, cancelled: () => cancelled };
  };

  test('makes a call of what it is given', async () => {
    const service = scripted(localReply(200));
    const { handler, events } = recorder();
    new MeshDispatcher(service).dispatch(
      {
        ...options,
        origin: new URL('https://reviews:8443'),
        path: '/p?q',
        headers: { Host: 'shown', 'X-A': '1' },
        idempotent: true,
      },
      handler,
    );
    await until(() => events.includes('end'));
    expect(service.calls[0]).toMatchObject({
      scheme: 'https',
      authority: 'reviews:8443',
      host: 'shown',
      path: '/p?q',
      idempotent: true,
      headers: { 'x-a': '1' },
    });
    expect(events).toEqual(['start', 'head 200', 'end']);
  });

  test('delivers nothing while it is paused, at the head and within the body', async () => {
    const { reply, body } = streaming();
    const { handler, events, controller } = recorder({ onResponseStart: (given) => given.pause() });
    new MeshDispatcher(scripted(reply)).dispatch(options, handler);
    body.write(Buffer.from('a'));
    await until(() => controller().paused);
    expect(events).toEqual(['start']);
    controller().resume();
    expect(events).toEqual(['start', 'data a']);
    controller().pause();
    body.write(Buffer.from('b'));
    expect(body.write(Buffer.from('c'))).toBe(false);
    body.end();
    controller().resume();
    expect(events).toEqual(['start', 'data a', 'data b', 'data c', 'end']);
  });

  test('aborts before the call, before the head and within the body, and tells it once', async () => {
    const early = recorder({ onRequestStart: (given) => given.abort(new Error('early')) });
    const unused = scripted();
    new MeshDispatcher(unused).dispatch(options, early.handler);
    expect(early.events).toEqual(['error Error']);
    expect(unused.calls).toHaveLength(0);

    let reason: unknown;
    const waiting = recorder();
    new MeshDispatcher(
      scripted(
        (call) =>
          new Promise((_resolve, reject) =>
            call.cancellation.add((given) => {
              reason = given;
              reject(given);
            }),
          ),
      ),
    ).dispatch(options, waiting.handler);
    waiting.controller().abort(new RangeError('mine'));
    await Promise.resolve();
    expect(waiting.events).toEqual(['start', 'error RangeError']);
    expect(reason).toMatchObject({ code: 'CANCELLED' });

    const { reply, body, cancelled } = streaming();
    const late = recorder();
    new MeshDispatcher(scripted(reply)).dispatch(options, late.handler);
    await until(() => late.events.includes('head 200'));
    late.controller().abort(new RangeError('mine'));
    body.write(Buffer.from('x'));
    expect(late.events).toEqual(['start', 'head 200', 'error RangeError']);
    expect(cancelled()).toBe(true);
  });

  test('a handler that throws aborts its own request and no more', async () => {
    for (const name of ['onResponseStart', 'onResponseData', 'onResponseEnd'] as const) {
      const { handler, events } = recorder({
        [name]: () => {
          throw new RangeError('mine');
        },
      });
      new MeshDispatcher(scripted(localReply(200, headerFields(), Buffer.from('x')))).dispatch(options, handler);
      await until(() => events.includes('error RangeError'));
    }
  });

  test('refuses upgrades and CONNECT, or gives them to whom it is told', async () => {
    const upgrade = { ...options, upgrade: 'websocket' };
    for (const refused of [upgrade, { ...options, method: 'CONNECT' as const }]) {
      const { handler, events } = recorder();
      new MeshDispatcher(scripted()).dispatch(refused, handler);
      expect(events).toEqual(['error TypeError']);
    }
    const elsewhere: unknown[] = [];
    class Other extends Dispatcher {
      override dispatch(given: Dispatcher.DispatchOptions): boolean {
        elsewhere.push(given);
        return true;
      }
    }
    new MeshDispatcher(scripted(), { upgrades: new Other() }).dispatch(upgrade, recorder().handler);
    expect(elsewhere).toEqual([upgrade]);
  });

  test('closes when those under way have ended, and refuses new ones', async () => {
    const { reply, body } = streaming();
    const dispatcher = new MeshDispatcher(scripted(reply));
    const { handler, events } = recorder();
    dispatcher.dispatch(options, handler);
    await until(() => events.includes('head 200'));
    let closed = false;
    const closing = dispatcher.close().then(() => {
      closed = true;
    });
    const refused = recorder();
    dispatcher.dispatch(options, refused.handler);
    expect(refused.events).toEqual(['error ClientClosedError']);
    await Promise.resolve();
    expect(closed).toBe(false);
    body.end();
    await closing;
    expect(events.at(-1)).toBe('end');
  });

  test('destroys those under way', async () => {
    const { reply, cancelled } = streaming();
    const dispatcher = new MeshDispatcher(scripted(reply));
    const { handler, events } = recorder();
    dispatcher.dispatch(options, handler);
    await until(() => events.includes('head 200'));
    await dispatcher.destroy();
    expect(events.at(-1)).toBe('error ClientDestroyedError');
    expect(cancelled()).toBe(true);
    await dispatcher.destroy();
    await dispatcher.close();
  });
});
