import type { RequestListener } from 'node:http';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, test } from 'vitest';
import { type EndpointAuthentication, fetchBundle } from '../../../src/identity/federation/fetch-bundle.js';
import { badCertificate, type Issued, testCa } from '../../support/pki.js';

const servers: Server[] = [];
afterEach(async () => {
  for (const server of servers.splice(0)) {
    server.closeAllConnections();
    await new Promise((closed) => server.close(closed));
  }
});

const ca = testCa({ trustDomain: 'shop.example' });
const good = ca.issue({ name: 'bundles' });
const web: EndpointAuthentication = { profile: 'https_web', ca: [ca.root] };
const spiffe = (authorities = [ca.root]): EndpointAuthentication => ({
  profile: 'https_spiffe',
  spiffeId: 'spiffe://shop.example/ns/default/sa/bundles',
  authorities,
});

async function serve(handler: RequestListener, identity: Issued = good): Promise<URL> {
  const server = createServer({ cert: identity.chainPem, key: identity.keyPem }, handler);
  servers.push(server);
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
  return new URL(`https://127.0.0.1:${(server.address() as AddressInfo).port}/bundle?x=1`);
}

const get = (url: URL, by: EndpointAuthentication, signal = new AbortController().signal) =>
  fetchBundle(url, by, signal);

describe('a bundle over HTTPS', () => {
  test('is got from a server that the roots vouch for, for its host', async () => {
    const url = await serve((request, response) => response.end(`${request.method} ${request.url}`));
    expect(await get(url, web)).toBe('GET /bundle?x=1');
    await expect(get(url, { profile: 'https_web' })).rejects.toThrow(/certificate/);
    url.hostname = 'localhost';
    await expect(get(url, web)).rejects.toThrow(/localhost/);
  });

  test('is got from a server that is who it must be, whatever its host', async () => {
    const url = await serve((_, response) => response.end('{}'), ca.issue({ name: 'bundles', ip: [] }));
    expect(await get(url, spiffe())).toBe('{}');
    await expect(get(url, spiffe([testCa().root]))).rejects.toThrow(/certificate/);
  });

  test.each([
    ['wrong_san', /the server is spiffe:\/\/shop\.example\/ns\/default\/sa\/somebody-else, and not/],
    ['two_uri_sans', /no SVID: it has 2 URIs/],
    ['can_sign', /no SVID: its keyUsage has keyCertSign/],
    ['expired', /expired/],
  ] as const)('is not taken from a server with a bad certificate: %s', async (kind, message) => {
    const url = await serve((_, response) => response.end('{}'), badCertificate(kind, ca, { name: 'bundles' }));
    await expect(get(url, spiffe())).rejects.toThrow(message);
  });

  test('redirects are followed to where the same server is known, and only over HTTPS', async () => {
    const target = await serve((_, response) => response.end('there'));
    const url = await serve((_, response) => response.writeHead(307, { location: target.href }).end());
    expect(await get(url, spiffe())).toBe('there');
    const other = await serve((_, response) => response.end('there'), ca.issue({ name: 'else' }));
    const astray = await serve((_, response) => response.writeHead(307, { location: other.href }).end());
    await expect(get(astray, spiffe())).rejects.toThrow(/sa\/else, and not/);
    const plain = await serve((_, response) => response.writeHead(302, { location: 'http://127.0.0.1/' }).end());
    await expect(get(plain, web)).rejects.toThrow('the redirect to http://127.0.0.1 must be an https URL');
    const circle: URL = await serve((_, response) => response.writeHead(302, { location: '/' }).end());
    await expect(get(circle, web)).rejects.toThrow('more than 5 redirects');
  });

  test('answers that are none, too long, or never come are refused', async () => {
    const missing = await serve((_, response) => response.writeHead(404).end());
    await expect(get(missing, web)).rejects.toThrow('the answer is HTTP 404');
    const long = await serve((_, response) => response.end(Buffer.alloc(4 * 1024 * 1024 + 1, ' ')));
    await expect(get(long, web)).rejects.toThrow('more than 4194304 bytes');
    const binary = await serve((_, response) => response.end(Buffer.from([0xff])));
    await expect(get(binary, web)).rejects.toThrow(/utf-8/i);
    const given = new AbortController();
    const silent = await serve(() => given.abort(new Error('enough')));
    await expect(get(silent, web, given.signal)).rejects.toThrow();
  });
});
