import { execFileSync } from 'node:child_process';
import { gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { MeshOptions } from '../../../src/client/fetch/mesh-options.js';
import { createFetch } from '../../../src/client/fetch/fetch.js';
import { parseUrl } from '../../../src/client/fetch/url.js';
import { ConnectError } from '../../../src/client/transport/errors.js';
import { type Body, BytesBody, StreamBody } from '../../../src/core/body.js';
import type { Call } from '../../../src/core/call.js';
import { headerFields } from '../../../src/core/headers.js';
import { localReply, type Reply, ReplyEnding } from '../../../src/core/reply.js';
import { scripted } from '../../support/calls.js';
import { playground, wiredFetch } from '../../support/fetch-fixture.js';
import { bytesOf, failureOf, type RunningHttp, until } from '../../support/http1-fixture.js';

const OK = localReply(200, headerFields(), Buffer.from('ok'));

/** A reply whose body the test feeds. */
function streaming(
  headers: Record<string, string> = {},
  onResume: () => void = () => {},
): Reply & { readonly body: StreamBody; readonly cancelled: () => boolean; resumed: number } {
  const ending = new ReplyEnding();
  let cancelled = false;
  const reply = {
    status: 200,
    headers: headerFields(headers),
    resumed: 0,
    body: new StreamBody({
      resume: () => {
        reply.resumed++;
        onResume();
      },
      cancel: () => {
        cancelled = true;
      },
    }),
    onEnd: ending.onEnd.bind(ending),
    cancelled: () => cancelled,
  };
  return reply;
}

const KNOWN = 'timeoutMs, idempotent, priority, xdsAuthority, retry, hedge, fallback';

describe('the call', () => {
  test('carries what the URL and the init say', async () => {
    const service = scripted(OK, OK);
    const fetch = createFetch(service);
    await fetch('https://reviews.example:8443/a/b?q=%20', { method: 'post', body: 'x', headers: { 'X-A': '1' } });
    const [call] = service.calls as [Call];
    expect(call).toMatchObject({
      protocol: 'http',
      scheme: 'https',
      authority: 'reviews.example:8443',
      host: 'reviews.example:8443',
      method: 'POST',
      path: '/a/b?q=%20',
    });
    expect(call.headers).toEqual(
      headerFields({
        'x-a': '1',
        'content-type': 'text/plain;charset=UTF-8',
        accept: '*/*',
        'user-agent': 'inmesh',
        'accept-encoding': 'gzip, deflate, br',
      }),
    );
    expect(call.timeoutMs).toBeUndefined();
    await fetch('http://reviews:80');
    expect(service.calls[1]).toMatchObject({ authority: 'reviews', path: '/' });
  });

  test.each<[object, string]>([
    [{ timeoutMS: 50 }, 'mesh.timeoutMS: unknown field; did you mean "timeoutMs"?'],
    [{ idempotant: true }, 'mesh.idempotant: unknown field; did you mean "idempotent"?'],
    [{ attempts: 3 }, `mesh.attempts: unknown field; known: ${KNOWN}`],
    [{ timeoutMs: '50' }, 'mesh.timeoutMs must be a number of milliseconds above 0, got "50"'],
    [{ idempotent: 'no' }, 'mesh.idempotent must be true or false, got "no"'],
    [{ xdsAuthority: 7 }, 'mesh.xdsAuthority must be a string, got 7'],
  ])('init.mesh of %j is refused, and nothing is sent', async (mesh, message) => {
    const service = scripted();
    const fetch = createFetch(service);
    for (const input of ['http://a/', new Request('http://a/')]) {
      const refusal = await fetch(input, { mesh: mesh as MeshOptions }).catch((error: unknown) => error);
      expect(refusal).toBeInstanceOf(TypeError);
      expect((refusal as Error).message).toBe(message);
    }
    expect(service.calls).toEqual([]);
  });

  test('takes a time limit and a word on repetition from init.mesh', async () => {
    const service = scripted(OK, OK);
    const fetch = createFetch(service);
    await fetch('http://a/', { mesh: { timeoutMs: 50, idempotent: true } });
    await fetch(new Request('http://a/'), { mesh: { timeoutMs: 60 } });
    expect(service.calls[0]).toMatchObject({ timeoutMs: 50, idempotent: true });
    expect(service.calls[1]).toMatchObject({ timeoutMs: 60, idempotent: undefined });
    expect(await failureOf(fetch('http://a/', { mesh: { timeoutMs: -1 } }))).toBeInstanceOf(TypeError);
  });

  test('goes where the URL says and shows the server the host that a Host header says', async () => {
    const service = scripted(OK);
    await createFetch(service)('http://a/', { headers: { host: 'b' } });
    expect(service.calls[0]).toMatchObject({ authority: 'a', host: 'b' });
    expect(service.calls[0]?.headers['host']).toBeUndefined();
  });

  test.each<[string, () => unknown, number, boolean]>([
    ['a string', () => 'text', 4, true],
    ['bytes', () => Buffer.from('text'), 4, true],
    ['a Blob', () => new Blob(['text']), 4, true],
  ])('with %s as its body can be sent again', async (_name, make, size, replayable) => {
    const service = scripted(OK);
    await createFetch(service)('http://a/', { method: 'POST', body: make() as string });
    const body = service.calls[0]?.body as Body;
    expect([body.size, body.replayable]).toEqual([size, replayable]);
    for (let i = 0; i < 2; i++) expect(Buffer.from(await bytesOf(body)).toString()).toBe('text');
  });

  test('with form data as its body has a length and can be sent again', async () => {
    const service = scripted(OK);
    const form = new FormData();
    form.append('a', new Blob(['content']), 'a.txt');
    await createFetch(service)('http://a/', { method: 'POST', body: form });
    const body = service.calls[0]?.body as Body;
    const [once, twice] = [await bytesOf(body), await bytesOf(body)];
    expect(once).toEqual(twice);
    expect(body.size).toBe(once.byteLength);
    expect(Buffer.from(once).toString()).toContain('filename="a.txt"');
  });

  test('from a Request object made of bytes has bytes; from one made of a stream, a stream', async () => {
    const service = scripted(OK, OK, OK);
    const fetch = createFetch(service);
    await fetch(new Request('http://a/', { method: 'POST', body: '{"a":1}' }));
    expect(service.calls[0]?.body).toBeInstanceOf(BytesBody);
    let feed: ReadableStreamDefaultController<Uint8Array> | undefined;
    const stream = new ReadableStream<Uint8Array>({
      start: (controller) => {
        feed = controller;
      },
    });
    await fetch(new Request('http://a/', { method: 'POST', body: stream, duplex: 'half' } as RequestInit));
    const body = service.calls[1]?.body as Body;
    expect([body.size, body.replayable]).toEqual([undefined, false]);
    const all = bytesOf(body);
    feed?.enqueue(Buffer.from('late'));
    feed?.close();
    expect(Buffer.from(await all).toString()).toBe('late');
    await fetch(new Request('http://a/', { method: 'POST', body: new FormData() }));
    expect(service.calls[2]?.body?.replayable).toBe(true);
  });

  test('leaves what is not http to the platform, and calls that bring a dispatcher of their own', async () => {
    const service = scripted();
    const seen: unknown[] = [];
    const platformFetch = (async (input: unknown) => {
      seen.push(input);
      return new Response('platform');
    }) as typeof fetch;
    const meshFetch = createFetch(service, { platformFetch });
    for (const url of ['data:,a', 'blob:x', 'about:blank', 'file:///a']) await meshFetch(url);
    await meshFetch(new Request('data:,b'));
    await meshFetch('http://a/', { dispatcher: {} } as RequestInit);
    expect(seen).toHaveLength(6);
    expect(service.calls).toHaveLength(0);
  });
});

describe('a failure', () => {
  test('is a TypeError as fetch has it, with the code of the mesh and the error as its cause', async () => {
    const cause = new ConnectError('10.0.0.1:80', 'ECONNREFUSED');
    const error = await failureOf<TypeError & { code: string }>(createFetch(scripted(cause))('http://a/'));
    expect(error).toBeInstanceOf(TypeError);
    expect(error).toMatchObject({ name: 'TypeError', message: 'fetch failed', code: 'CONNECT_FAILED', cause });
  });

  test('within the body is a TypeError, too, after what came before it', async () => {
    const reply = streaming();
    const response = await createFetch(scripted(reply))('http://a/');
    const reading = failureOf<TypeError>(response.text());
    reply.body.write(Buffer.from('half'));
    const cause = new ConnectError('10.0.0.1:80', 'gone');
    reply.body.fail(cause);
    expect(await reading).toMatchObject({ name: 'TypeError', message: 'terminated', code: 'CONNECT_FAILED', cause });
  });

  test('of a stream of strings is one, where the platform sends an empty body', async () => {
    const wired = wiredFetch();
    const server = await playground();
    const body = new ReadableStream({ start: (controller) => controller.enqueue('text') });
    const error = await failureOf(
      wired.fetch(`${server.origin}/echo`, { method: 'POST', body, duplex: 'half' } as RequestInit),
    );
    expect(error).toMatchObject({ name: 'TypeError', code: 'REQUEST_BODY_FAILED' });
    await wired.close();
    await server.close();
  });
});

describe('a signal', () => {
  test('cancels the call with the mesh and rejects with its own reason', async () => {
    let cancelled: unknown;
    const service = scripted(
      (call) =>
        new Promise((_resolve, reject) =>
          call.cancellation.add((reason) => {
            cancelled = reason;
            reject(reason);
          }),
        ),
    );
    const controller = new AbortController();
    const pending = failureOf(createFetch(service)('http://a/', { signal: controller.signal }));
    controller.abort('enough');
    expect(await pending).toBe('enough');
    expect(cancelled).toMatchObject({ code: 'CANCELLED', cause: 'enough' });
  });

  test('that many calls share is listened to once, and not any more when they are over', async () => {
    const controller = new AbortController();
    let added = 0;
    let removed = 0;
    const { signal } = controller;
    const add = signal.addEventListener.bind(signal);
    const remove = signal.removeEventListener.bind(signal);
    Object.assign(signal, {
      addEventListener: (...args: Parameters<typeof add>) => {
        added++;
        add(...args);
      },
      removeEventListener: (...args: Parameters<typeof remove>) => {
        removed++;
        remove(...args);
      },
    });
    const service = scripted(...Array.from({ length: 50 }, () => OK));
    const fetch = createFetch(service);
    await Promise.all(Array.from({ length: 50 }, () => fetch('http://a/', { signal })));
    expect([added, removed]).toEqual([1, 1]);
  });

  test('that fires after the head ends a reply that nobody has read', async () => {
    const controller = new AbortController();
    const reply = streaming();
    let cancelled = false;
    const service = scripted((call) => {
      call.cancellation.add(() => {
        cancelled = true;
      });
      return reply;
    });
    const response = await createFetch(service)('http://a/', { signal: controller.signal });
    controller.abort();
    expect(cancelled).toBe(true);
    expect(await failureOf(response.text())).toBe(controller.signal.reason);
  });
});

describe('a response', () => {
  test('asks for no more than its reader takes', async () => {
    const reply = streaming();
    const response = await createFetch(scripted(reply))('http://a/');
    const reader = (response.body as ReadableStream<Uint8Array>).getReader();
    const first = reader.read();
    let wrote = 0;
    while (reply.body.write(new Uint8Array(1_000)) && wrote < 1_000) wrote++;
    expect(wrote).toBeLessThan(70);
    expect((await first).value?.byteLength).toBe(1_000);
    // What was written before it was told to wait is still read without asking for more.
    const before = reply.resumed;
    for (let i = 0; i < wrote; i++) await reader.read();
    expect(reply.resumed).toBe(before);
    reader.read().catch(() => {});
    await until(() => reply.resumed > before);
    await reader.cancel();
    expect(reply.cancelled()).toBe(true);
  });

  test('has bytes() whatever the platform has', async () => {
    const response = await createFetch(scripted(localReply(200, headerFields(), Buffer.from('abc'))))('http://a/');
    const bytes = await (response as Response & { bytes(): Promise<Uint8Array> }).bytes();
    expect([...bytes]).toEqual([97, 98, 99]);
    expect(bytes.buffer.byteLength).toBe(3);
  });

  test('shows a status that no Response can be made with', async () => {
    const response = await createFetch(scripted(localReply(999)))('http://a/');
    expect([response.status, response.ok, response.statusText]).toEqual([999, false, '']);
  });

  test('looks like a Response when it is printed', async () => {
    const { inspect } = await import('node:util');
    const response = await createFetch(scripted(OK))('http://a/');
    expect(inspect(response)).toContain("url: 'http://a/'");
  });

  test('that is dropped unread gives its connection back', () => {
    // In a process of its own, since garbage collection must be asked for.
    const program = `
      import { createFetch } from './src/client/fetch/fetch.js';
      import { StreamBody } from './src/core/body.js';
      let cancelled = 0;
      const service = async () => ({ status: 200, headers: Object.create(null), body: new StreamBody({ resume() {}, cancel() { cancelled++; } }), onEnd() {} });
      const fetch = createFetch(service);
      const kept = [];
      await (async () => { for (let i = 0; i < 20; i++) await fetch('http://a/'); kept.push((await fetch('http://a/')).body.getReader()); })();
      for (let turn = 0; turn < 200 && cancelled < 20; turn++) { globalThis.gc(); await new Promise((resolve) => setImmediate(resolve)); }
      console.log(cancelled, kept.length);
    `;
    const output = execFileSync(
      process.execPath,
      ['--expose-gc', '--import', 'tsx', '--input-type=module', '-e', program],
      { encoding: 'utf8', cwd: process.cwd() },
    );
    expect(output.trim()).toBe('20 1');
  });
});

describe('a redirect', () => {
  let server: RunningHttp;
  const wired = wiredFetch();
  beforeAll(async () => {
    server = await playground();
  });
  afterAll(async () => {
    await wired.close();
    await server.close();
  });

  test('sends a form again as it was', async () => {
    const form = new FormData();
    form.append('file', new Blob(['content']));
    const answer = await (
      await wired.fetch(`${server.origin}/redirect/307?to=/echo`, { method: 'POST', body: form })
    ).json();
    expect(answer).toMatchObject({
      method: 'POST',
      headers: { 'content-type': 'multipart/form-data; boundary=BOUNDARY' },
    });
    expect((answer as { body: string }).body).toMatch(/^--BOUNDARY\r\n[\s\S]*content\r\n--BOUNDARY--\r\n$/);
  });

  test('starts from what the application gave, not from what the mesh added', async () => {
    const seen: (string | string[] | undefined)[] = [];
    const service = scripted(
      ...[0, 1].map((n) => (call: Call) => {
        seen.push(call.headers['traceparent']);
        call.headers['traceparent'] = 'written by the mesh';
        return n === 0 ? localReply(302, headerFields({ location: '/b' })) : OK;
      }),
    );
    await createFetch(service)('http://a/');
    expect(seen).toEqual([undefined, undefined]);
  });

  test('leaves the connection usable', async () => {
    const before = server.accepted();
    for (let i = 0; i < 5; i++) await (await wired.fetch(`${server.origin}/hops/3`)).text();
    expect(server.accepted() - before).toBeLessThanOrEqual(1);
  });

  test('to a URL with credentials in it is refused', async () => {
    const service = scripted(localReply(302, headerFields({ location: 'http://user:pass@b/' })));
    expect(await failureOf(createFetch(service)('http://a/'))).toMatchObject({ message: 'fetch failed' });
  });
});

describe('decompression', () => {
  test('of a reply that grows without measure stops', async () => {
    const bomb = gzipSync(Buffer.alloc(96 * 1_048_576));
    const reply = localReply(200, headerFields({ 'content-encoding': 'gzip' }), bomb);
    const response = await createFetch(scripted(reply))('http://a/');
    let size = 0;
    const reader = (response.body as ReadableStream<Uint8Array>).getReader();
    const error = await failureOf(
      (async () => {
        for (;;) {
          const { done, value } = await reader.read();
          if (done) return;
          size += value.byteLength;
        }
      })(),
    );
    expect(error).toMatchObject({ name: 'TypeError', code: 'MESSAGE_TOO_LARGE' });
    expect(size).toBeLessThan(70 * 1_048_576);
  });

  test('of too many codings, one inside another, is refused', async () => {
    const reply = localReply(
      200,
      headerFields({ 'content-encoding': 'gzip, gzip, gzip, gzip, gzip, gzip' }),
      gzipSync('x'),
    );
    const response = await createFetch(scripted(reply))('http://a/');
    expect(await failureOf(response.text())).toMatchObject({ code: 'PROTOCOL_ERROR' });
  });

  test('passes back-pressure on to the connection', async () => {
    const plain = Buffer.from(Array.from({ length: 4_000_000 }, (_, i) => (i * 7919) % 251));
    const compressed = gzipSync(plain, { level: 0 });
    let sent = 0;
    const send = (): void => {
      while (sent < compressed.byteLength) {
        const chunk = compressed.subarray(sent, sent + 16_384);
        sent += chunk.byteLength;
        if (!reply.body.write(chunk)) return;
      }
      reply.body.end();
    };
    const reply = streaming({ 'content-encoding': 'gzip' }, () => send());
    const response = await createFetch(scripted(reply))('http://a/');
    const reader = (response.body as ReadableStream<Uint8Array>).getReader();
    const first = await Promise.all([reader.read(), send()]);
    let size = first[0].value?.byteLength ?? 0;
    for (let reads = 0; ; reads++) {
      // zlib, its stream and the body hold some ten chunks between them.
      if (reads < 20) expect(sent - size).toBeLessThan(400_000);
      const { done, value } = await reader.read();
      if (done) break;
      size += value.byteLength;
    }
    expect(size).toBe(4_000_000);
  });
});

describe('parsing of URLs', () => {
  const part = fc.oneof(
    fc.constantFrom(
      'http://',
      'https://',
      'HTTP://',
      '/',
      '//',
      '?',
      '#',
      '..',
      '.',
      '%2e',
      '%',
      '@',
      ':',
      ':80',
      ':443',
      'a',
      'b.c',
      '\\',
      ' ',
      '\t',
      '[::1]',
      '127.1',
      '0x7f',
      '[',
      '|',
      "'",
      'ä',
      '%41',
    ),
    fc.string({ maxLength: 4 }),
  );
  test('says the same as URL, whatever it is given', () => {
    fc.assert(
      fc.property(
        fc.constantFrom('http://', 'https://', 'http://host', 'http://host/', ''),
        fc.array(part, { maxLength: 8 }),
        (start, parts) => {
          const text = start + parts.join('');
          let expected: unknown;
          try {
            const url = new URL(text);
            if (url.username !== '' || url.password !== '') expected = 'error';
            else if (!/^https?:$/.test(url.protocol)) expected = undefined;
            else {
              url.hash = '';
              expected = {
                scheme: url.protocol.slice(0, -1),
                authority: url.host,
                path: url.pathname + url.search,
                href: url.href,
              };
            }
          } catch {
            expected = 'error';
          }
          // Twice: the second time the origin is known.
          for (let i = 0; i < 2; i++) {
            let actual: unknown;
            try {
              actual = parseUrl(text);
            } catch {
              actual = 'error';
            }
            if (expected === 'error' && actual === undefined) return; // a URL of another scheme with credentials: not ours
            expect(actual).toEqual(expected);
          }
        },
      ),
      { numRuns: 5_000 },
    );
  });
});
