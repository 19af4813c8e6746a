import { Readable } from 'node:stream';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { playground, wiredFetch } from '../../support/fetch-fixture.js';
import type { RunningHttp } from '../../support/http1-fixture.js';

/**
 * The same program through the platform's fetch and through ours: everything that a program can observe must be the same. What is
 * different on purpose is in fetch.test.ts.
 */
type Fetch = typeof globalThis.fetch;
type Program = (fetch: Fetch, at: string, other: string) => Promise<unknown>;

let server: RunningHttp;
let second: RunningHttp;
const wired = wiredFetch();
beforeAll(async () => {
  server = await playground();
  second = await playground();
});
afterAll(async () => {
  await wired.close();
  await server.close();
  await second.close();
});

/** Of no interest, or different by time. */
const OWN = new Set(['date', 'connection', 'keep-alive']);

function head(response: Response): unknown {
  const { status, statusText, ok, type, url, redirected, bodyUsed } = response;
  const headers = [...(response.headers as unknown as Iterable<[string, string]>)].filter(([name]) => !OWN.has(name));
  const isResponse = response instanceof Response && response.headers instanceof Headers;
  return {
    status,
    statusText,
    ok,
    type,
    url,
    redirected,
    bodyUsed,
    headers,
    isResponse,
    hasBody: response.body !== null,
  };
}

const whole = async (response: Response): Promise<unknown> => ({
  head: head(response),
  text: await response.text(),
  used: response.bodyUsed,
});

/** An error as a program can tell it apart. */
const shape = (error: unknown): unknown => {
  if (!(error instanceof Error)) return { thrown: error };
  const { name } = error;
  const kind =
    error instanceof DOMException ? 'DOMException' : error instanceof TypeError ? 'TypeError' : error.constructor.name;
  return { kind, name, failed: /^(fetch failed|terminated)$/.exec(error.message)?.[1] };
};

async function outcome(program: Program, fetch: Fetch, at: string, other: string): Promise<unknown> {
  try {
    return { value: await program(fetch, at, other) };
  } catch (error) {
    return { error: shape(error) };
  }
}

const stream = (...chunks: unknown[]): ReadableStream =>
  new ReadableStream({
    start(controller) {
      for (const chunk of chunks) controller.enqueue(chunk);
      controller.close();
    },
  });
const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const post = (body: unknown, more: Record<string, unknown> = {}): RequestInit =>
  ({ method: 'POST', body, ...more }) as RequestInit;
const echo =
  (init?: RequestInit): Program =>
  async (fetch, at) =>
    (await fetch(`${at}/echo?x=1`, init)).json();
const get =
  (path: string, init?: RequestInit): Program =>
  async (fetch, at) =>
    whole(await fetch(at + path, init));
const form = (): FormData => {
  const data = new FormData();
  data.append('plain', 'a\nb');
  data.append('na"me\r\n', 'v');
  data.append('file', new Blob(['content'], { type: 'text/x-thing' }), 'f"1.txt');
  data.append('file', new Blob(['untyped']));
  return data;
};
const sriOf = 'sha256-LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ=';

const programs: Record<string, Program> = {
  'a text': get('/hello'),
  'a status and its phrase': get('/status/404'),
  'a 500': get('/status/500'),
  'a 599': async (fetch, at) => {
    const response = await fetch(`${at}/status/599`);
    return [response.status, response.ok, await response.text()];
  },
  'a 204': get('/status/204'),
  'a 205': get('/status/205'),
  'a 304': get('/status/304'),
  'a HEAD': get('/hello', { method: 'HEAD' }),
  'several cookies': async (fetch, at) => {
    const { headers } = await fetch(`${at}/cookies`);
    return [headers.getSetCookie(), headers.get('set-cookie'), headers.get('x-many')];
  },
  'a latin-1 header': async (fetch, at) => (await fetch(`${at}/latin`)).headers.get('x-latin'),
  json: async (fetch, at) => (await fetch(`${at}/json`)).json(),
  'json that is none': async (fetch, at) => (await fetch(`${at}/hello`)).json(),
  'json of nothing': async (fetch, at) => (await fetch(`${at}/status/204`)).json(),
  'bytes as array buffer': async (fetch, at) => {
    const buffer = await (await fetch(`${at}/bytes`)).arrayBuffer();
    return [buffer instanceof ArrayBuffer, [...new Uint8Array(buffer)]];
  },
  'a blob and its type': async (fetch, at) => {
    const blob = await (await fetch(`${at}/hello`)).blob();
    return [blob instanceof Blob, blob.type, blob.size, await blob.text()];
  },
  'a form': async (fetch, at) => {
    const data = await (await fetch(`${at}/form`)).formData();
    return [data.get('a'), data.get('b')];
  },
  'a form that is none': async (fetch, at) => (await fetch(`${at}/hello`)).formData(),
  'a byte order mark': async (fetch, at) => (await fetch(`${at}/bom`)).text(),
  'json behind a byte order mark': async (fetch, at) => (await fetch(`${at}/bom`)).json(),
  'what is no UTF-8': async (fetch, at) => (await fetch(`${at}/invalid`)).text(),
  'a body of megabytes': async (fetch, at) => (await (await fetch(`${at}/large`)).arrayBuffer()).byteLength,
  'a body read as a stream': async (fetch, at) => {
    const response = await fetch(`${at}/chunks`);
    let text = '';
    for await (const chunk of response.body as unknown as AsyncIterable<Uint8Array>)
      text += Buffer.from(chunk).toString();
    return [text, response.bodyUsed];
  },
  'a stream that is cancelled': async (fetch, at) => {
    const response = await fetch(`${at}/large`);
    const reader = (response.body as ReadableStream).getReader();
    const first = await reader.read();
    await reader.cancel();
    return [first.done, (await reader.read()).done];
  },
  "a stream read into the reader's own memory": async (fetch, at) => {
    const reader = ((await fetch(`${at}/hello`)).body as ReadableStream).getReader({ mode: 'byob' });
    let text = '';
    for (;;) {
      const { done, value } = await reader.read(new Uint8Array(2));
      if (done) return text;
      text += Buffer.from(value).toString();
    }
  },
  'a body read twice': async (fetch, at) => {
    const response = await fetch(`${at}/hello`);
    await response.text();
    return response.text();
  },
  'a body read in two ways': async (fetch, at) => {
    const response = await fetch(`${at}/hello`);
    await response.json().catch(() => {});
    return response.blob();
  },
  'the stream of a body that was read': async (fetch, at) => {
    const response = await fetch(`${at}/hello`);
    await response.text();
    return [response.bodyUsed, response.body !== null, response.body?.locked];
  },
  'a locked body': async (fetch, at) => {
    const response = await fetch(`${at}/hello`);
    response.body?.getReader();
    return response.text();
  },
  'a clone': async (fetch, at) => {
    const response = await fetch(`${at}/hello`);
    const copy = response.clone();
    return [head(copy), await copy.text(), await response.text(), copy instanceof Response];
  },
  'a clone of a clone, read in another order': async (fetch, at) => {
    const response = await fetch(`${at}/json`);
    const copy = response.clone();
    const again = copy.clone();
    return [await again.json(), await response.json(), await copy.json()];
  },
  'a clone of what was read': async (fetch, at) => {
    const response = await fetch(`${at}/hello`);
    await response.text();
    return response.clone();
  },
  'an empty body is never used up': async (fetch, at) => {
    const response = await fetch(`${at}/status/204`);
    return [
      await response.text(),
      response.bodyUsed,
      await response.text(),
      response.body,
      (await response.blob()).size,
    ];
  },
  'a response wrapped in another': async (fetch, at) => {
    const response = await fetch(`${at}/hello`);
    const wrapper = new Response(response.body, response);
    return [wrapper.status, wrapper.headers.get('x-one'), await wrapper.text()];
  },

  'a URL object': async (fetch, at) => whole(await fetch(new URL(`${at}/hello#fragment`))),
  'a URL that needs normalising': async (fetch, at) => (await fetch(`${at}/a/../echo?q=ä b#frag`)).json(),
  'a URL in capitals': async (fetch, at) => (await fetch(`${at.replace('http', 'HTTP')}/./echo`)).json(),
  'a URL with nothing behind the port': async (fetch, at) => (await fetch(at)).url.replace(at, ''),
  'a relative URL': async (fetch) => fetch('/hello'),
  'a URL that is none': async (fetch) => fetch('http://a b/'),
  'a URL with credentials': async (fetch, at) => fetch(at.replace('//', '//user:pass@')),
  'an unknown scheme': async (fetch) => fetch('gopher://x/'),
  'a data URL': async (fetch) => whole(await fetch('data:text/plain,hello')),
  'a blob URL': async (fetch) => (await fetch(URL.createObjectURL(new Blob(['blob'])))).text(),

  'no body': echo(),
  'a string body': echo(post('text ä')),
  'an empty body': echo(post('')),
  'a null body': echo(post(null)),
  'a number as a body': echo(post(42)),
  'bytes as a body': echo(post(bytes('bytes'))),
  'part of a buffer as a body': echo(post(Buffer.from('xxbytesxx').subarray(2, 7))),
  'a data view as a body': echo(post(new DataView(bytes('view').buffer as ArrayBuffer))),
  'an array buffer as a body': echo(post(bytes('buffer').buffer)),
  'search parameters as a body': echo(post(new URLSearchParams({ a: '1', b: 'ä &' }))),
  'a blob as a body': echo(post(new Blob(['blob'], { type: 'text/x-blob' }))),
  'a blob without type as a body': echo(post(new Blob(['blob']))),
  'form data as a body': echo(post(form())),
  'a stream as a body': async (fetch, at) =>
    (await fetch(`${at}/echo`, post(stream(bytes('a'), bytes('b')), { duplex: 'half' }))).json(),
  'a stream without duplex': async (fetch, at) => fetch(`${at}/echo`, post(stream(bytes('a')))),
  'a stream that is locked': async (fetch, at) => {
    const locked = stream(bytes('a'));
    locked.getReader();
    return fetch(`${at}/echo`, post(locked, { duplex: 'half' }));
  },
  'an async generator as a body': async (fetch, at) => {
    async function* parts() {
      yield bytes('a');
      yield bytes('b');
    }
    return (await fetch(`${at}/echo`, post(parts(), { duplex: 'half' }))).json();
  },
  'a Node stream as a body': async (fetch, at) =>
    (await fetch(`${at}/echo`, post(Readable.from([Buffer.from('node')]), { duplex: 'half' }))).json(),
  'a body that fails': async (fetch, at) => {
    async function* parts() {
      yield bytes('a');
      throw new RangeError('mine');
    }
    return fetch(`${at}/echo`, post(parts(), { duplex: 'half' }));
  },
  "a content type of one's own": echo(post('{}', { headers: { 'Content-Type': 'application/json' } })),
  'headers as an object': echo({ headers: { 'X-A': '1', 'x-b': ' two ' } }),
  'headers as pairs': echo({
    headers: [
      ['x-a', '1'],
      ['X-A', '2'],
      ['cookie', 'a=1'],
      ['cookie', 'b=2'],
    ],
  }),
  'headers as Headers': echo({ headers: new Headers({ 'x-a': '1', cookie: 'c=1' }) }),
  'a number as a header': echo({ headers: { 'x-n': 1 as unknown as string } }),
  'a header name that is none': echo({ headers: { 'x y': '1' } }),
  'a header value that breaks the line': echo({ headers: { 'x-y': 'a\r\nb: c' } }),
  'a header value beyond latin-1': echo({ headers: { 'x-y': '€' } }),
  'a header pair of three': echo({ headers: [['a', 'b', 'c']] }),
  'methods in small letters': async (fetch, at) =>
    Promise.all(
      ['get', 'post', 'put', 'delete'].map(
        async (method) => ((await (await fetch(`${at}/echo`, { method })).json()) as { method: string }).method,
      ),
    ),
  "a method of one's own": echo({ method: 'PURGE' }),
  'a method that is none': echo({ method: 'G T' }),
  'a method that is forbidden': echo({ method: 'connect' }),
  'a GET with a body': echo({ body: 'x' }),
  'a DELETE with a body': echo({ method: 'DELETE', body: 'x' }),
  'a range': echo({ headers: { range: 'bytes=0-1' } }),

  'a Request': async (fetch, at) => (await fetch(new Request(`${at}/echo`, { headers: { 'x-a': '1' } }))).json(),
  'a Request with a body': async (fetch, at) => (await fetch(new Request(`${at}/echo`, post('text')))).json(),
  'a Request with a stream': async (fetch, at) => {
    const request = new Request(`${at}/echo`, post(stream(bytes('a'), bytes('b')), { duplex: 'half' }));
    const answer = (await (await fetch(request)).json()) as { body: string };
    return [answer.body, request.bodyUsed];
  },
  'a Request and what it is changed to': async (fetch, at) =>
    (await fetch(new Request(`${at}/echo`, post('text')), { method: 'PUT', headers: { 'x-b': '2' } })).json(),
  'a Request that was sent already': async (fetch, at) => {
    const request = new Request(`${at}/echo`, post('text'));
    await fetch(request);
    return [request.bodyUsed, await fetch(request)];
  },
  'a Request whose signal has fired': async (fetch, at) =>
    fetch(new Request(`${at}/hello`, { signal: AbortSignal.abort() })),

  'a redirect': async (fetch, at) => whole(await fetch(`${at}/redirect/302?to=/hello%23there`)),
  'twenty redirects': get('/hops/20'),
  'twenty-one redirects': get('/hops/21'),
  'a redirect that is not followed': get('/redirect/302?to=/hello', { redirect: 'manual' }),
  'a redirect that is an error': get('/redirect/302?to=/hello', { redirect: 'error' }),
  'a redirect to nowhere': get('/redirect/302'),
  'a redirect to what is no URL': get('/redirect/302?to=http://'),
  'a redirect to another scheme': get('/redirect/302?to=ftp://x/'),
  'a 300 is no redirect': get('/redirect/300?to=/hello'),
  ...Object.fromEntries(
    [301, 302, 303, 307, 308].flatMap((status) =>
      ['POST', 'PUT'].map((method): [string, Program] => [
        `a ${status} to a ${method}`,
        async (fetch, at) => {
          const response = await fetch(`${at}/redirect/${status}?to=/echo`, {
            method,
            body: 'text',
            headers: { 'x-a': '1', 'content-language': 'de' },
          });
          return [response.redirected, response.url, await response.json()];
        },
      ]),
    ),
  ),
  'a 307 to a stream': async (fetch, at) =>
    fetch(`${at}/redirect/307?to=/echo`, post(stream(bytes('a')), { duplex: 'half' })),
  'a 303 to a stream': async (fetch, at) =>
    (await fetch(`${at}/redirect/303?to=/echo`, post(stream(bytes('a')), { duplex: 'half' }))).json(),
  'secrets stay with their origin': async (fetch, at, other) =>
    (
      await fetch(`${at}/redirect/302?to=${other}/echo`, {
        headers: { authorization: 'secret', cookie: 'a=1', 'x-a': '1' },
      })
    ).json(),
  'secrets go along within an origin': async (fetch, at) =>
    (await fetch(`${at}/redirect/302?to=/echo`, { headers: { authorization: 'secret', cookie: 'a=1' } })).json(),
  'an unknown redirect mode': get('/hello', { redirect: 'sometimes' as 'follow' }),

  ...Object.fromEntries(
    ['gzip', 'xgzip', 'deflate', 'rawdeflate', 'br', 'twice', 'unknown', 'notgzip', 'emptygzip', 'cut'].map(
      (page): [string, Program] => [`content coding: ${page}`, get(`/${page}`)],
    ),
  ),
  'a HEAD of what is compressed': get('/gzip', { method: 'HEAD' }),

  'a signal that fired before': async (fetch, at) => fetch(`${at}/hello`, { signal: AbortSignal.abort() }),
  'a signal that fired before, with a reason': async (fetch, at) =>
    fetch(`${at}/hello`, { signal: AbortSignal.abort('why') }),
  'a signal that fires before the head': async (fetch, at) => {
    const controller = new AbortController();
    const pending = fetch(`${at}/hang`, { signal: controller.signal });
    setImmediate(() => controller.abort());
    return pending;
  },
  "a signal that fires with an error of one's own": async (fetch, at) => {
    const controller = new AbortController();
    const pending = fetch(`${at}/hang`, { signal: controller.signal });
    setImmediate(() => controller.abort(new RangeError('mine')));
    return pending;
  },
  'a signal of time': async (fetch, at) => fetch(`${at}/hang`, { signal: AbortSignal.timeout(5) }),
  'a signal that fires while the body is read': async (fetch, at) => {
    const controller = new AbortController();
    const response = await fetch(`${at}/half`, { signal: controller.signal });
    const pending = response.text();
    controller.abort();
    return pending;
  },
  'a signal that fires before the body is read': async (fetch, at) => {
    const controller = new AbortController();
    const response = await fetch(`${at}/half`, { signal: controller.signal });
    controller.abort();
    return response.text();
  },
  'a signal that fires while a stream is read': async (fetch, at) => {
    const controller = new AbortController();
    const reader = ((await fetch(`${at}/half`, { signal: controller.signal })).body as ReadableStream).getReader();
    await reader.read();
    const pending = reader.read();
    controller.abort(new RangeError('mine'));
    return pending;
  },
  'a signal that is none': async (fetch, at) => fetch(`${at}/hello`, { signal: {} as AbortSignal }),

  'a reset before the head': get('/reset'),
  'a reset within the body': get('/broken'),
  'a reset within the body, read as JSON': async (fetch, at) => (await fetch(`${at}/broken`)).json(),
  'a port where nobody listens': async (fetch) => fetch('http://127.0.0.1:9/'),
  'an integrity that holds': get('/hello', { integrity: sriOf }),
  'an integrity that does not hold': get('/hello', { integrity: sriOf.replace('LPJ', 'XXX') }),
  'an integrity that nobody understands': get('/hello', { integrity: 'md5-abc' }),
};

test.each(Object.entries(programs))('%s', async (_name, program) => {
  const platform = await outcome(program, globalThis.fetch, server.origin, second.origin);
  const ours = await outcome(program, wired.fetch as Fetch, server.origin, second.origin);
  expect(ours).toEqual(platform);
});

test('there are programs enough', () => {
  expect(Object.keys(programs).length).toBeGreaterThan(100);
});
