import { describe, expect, test } from 'vitest';
import type { BytesBody } from '../../src/core/body.js';
import type { Scheme } from '../../src/core/call.js';
import type { PathMatch } from '../../src/core/model/match.js';
import type { RedirectAction } from '../../src/core/model/route.js';
import { safeSubstitution } from '../../src/core/regex/safe-regex.js';
import { directReply, redirectReply } from '../../src/routing/local.js';
import { aCall } from '../support/calls.js';

const PREFIX: PathMatch = { kind: 'prefix', value: '/old', ignoreCase: false };
const redirect = (action: Partial<RedirectAction>, url = 'http://shop.example/old/a?q=1') => {
  const { protocol, host, pathname, search } = new URL(url);
  // URL leaves out a port that is the scheme's own.
  const authority = url.includes(`${host}:`) ? `${host}${/:\d+/.exec(url.slice(8))?.[0] ?? ''}` : host;
  const call = aCall({ scheme: protocol.slice(0, -1) as Scheme, authority, path: pathname + search });
  const full: RedirectAction = {
    kind: 'redirect',
    status: 301,
    scheme: undefined,
    host: undefined,
    port: undefined,
    path: undefined,
    stripQuery: false,
    ...action,
  };
  return redirectReply(call, full, PREFIX);
};
const asked = aCall({ authority: 'shop.example', path: '/old?q=1' });
const location = (action: Partial<RedirectAction>, url?: string) => redirect(action, url).headers['location'];

describe('a redirect', () => {
  test.each<[Partial<RedirectAction>, string | undefined, string]>([
    [{ scheme: 'https' }, undefined, 'https://shop.example/old/a?q=1'],
    [{ host: 'new.example' }, undefined, 'http://new.example/old/a?q=1'],
    [{ host: 'new.example' }, 'http://shop.example:8080/', 'http://new.example/'],
    [{ port: 8443 }, 'http://shop.example:8080/', 'http://shop.example:8443/'],
    [{ scheme: 'https', port: 443 }, 'http://shop.example:8080/', 'https://shop.example/'],
    // Envoy: only a port that is the old scheme's own goes with it.
    [{ scheme: 'https' }, 'http://shop.example:80/', 'https://shop.example/'],
    [{ scheme: 'https' }, 'http://shop.example:8080/', 'https://shop.example:8080/'],
    [{ port: 81 }, 'http://[::1]:80/x', 'http://[::1]:81/x'],
    [{ scheme: 'https' }, 'http://[::1]/x', 'https://[::1]/x'],
    [{ path: { kind: 'full', value: '/new' } }, undefined, 'http://shop.example/new?q=1'],
    [{ path: { kind: 'full', value: '/new?p=2' } }, undefined, 'http://shop.example/new?p=2'],
    [{ path: { kind: 'full', value: '/new?p=2' }, stripQuery: true }, undefined, 'http://shop.example/new?p=2'],
    [{ path: { kind: 'full', value: '/new' }, stripQuery: true }, undefined, 'http://shop.example/new'],
    [{ path: { kind: 'prefix', value: '/new' } }, undefined, 'http://shop.example/new/a?q=1'],
    [{ stripQuery: true }, undefined, 'http://shop.example/old/a'],
    [
      { path: { kind: 'regex', regex: safeSubstitution('^/(.*)/a', '/\\1/b'), substitution: '/\\1/b' } },
      undefined,
      'http://shop.example/old/b?q=1',
    ],
  ])('%j from %s goes to %s', (action, url, expected) => {
    expect(location(action, url)).toBe(expected);
  });

  test.each([301, 302, 303, 307, 308] as const)('may have status %d, and has no body', (status) => {
    const reply = redirect({ status });
    expect(reply.status).toBe(status);
    expect(reply.body.size).toBe(0);
    expect(reply.headers).not.toHaveProperty('content-type');
  });
});

describe('a direct response', () => {
  const action = { kind: 'direct', status: 503, body: Buffer.from('closed') } as const;

  test('is plain text of its length', () => {
    const reply = directReply(asked, action);
    expect(reply.headers).toEqual({ 'content-type': 'text/plain', 'content-length': '6', __proto__: null });
    expect((reply.body as BytesBody).bytes).toEqual(action.body);
  });

  test('is of the type that its route says', () => {
    const reply = directReply(asked, action, ({ headers, status }) => {
      headers['content-type'] = 'application/json';
      headers['x-status'] = String(status);
    });
    expect(reply.headers).toMatchObject({ 'content-type': 'application/json', 'x-status': '503' });
  });

  test('without a body says nothing of one', () => {
    const reply = directReply(asked, { ...action, body: new Uint8Array(0) }, ({ headers }) => {
      headers['content-type'] = 'application/json';
    });
    expect({ ...reply.headers }).toEqual({});
  });

  test('to a gRPC call is a status of gRPC, and its body the message', () => {
    const call = aCall({ protocol: 'grpc', authority: 'shop.example', path: '/a.B/C' });
    const reply = directReply(call, { ...action, body: Buffer.from('zu spät') }, ({ headers }) => {
      headers['content-type'] = 'text/html';
      headers['x-new'] = 'y';
    });
    expect(reply.status).toBe(200);
    expect(reply.body.size).toBe(0);
    expect({ ...reply.headers }).toEqual({
      'content-type': 'application/grpc',
      'grpc-status': '14',
      'grpc-message': 'zu sp%C3%A4t',
      'x-new': 'y',
    });
    const moved = redirectReply(
      call,
      {
        kind: 'redirect',
        status: 302,
        scheme: undefined,
        host: 'b',
        port: undefined,
        path: undefined,
        stripQuery: false,
      },
      PREFIX,
    );
    expect({ ...moved.headers }).toMatchObject({ 'grpc-status': '2', location: 'http://b/a.B/C' });
  });

  test.each([201, 302])('of status %d names the URI of the request, as Envoy does', (status) => {
    const reply = directReply(asked, { ...action, status });
    expect(reply.headers['location']).toBe('http://shop.example/old?q=1');
  });
});
