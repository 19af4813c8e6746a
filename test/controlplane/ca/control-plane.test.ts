import { createPublicKey } from 'node:crypto';
import { connect as connectHttp2 } from 'node:http2';
import { afterEach, describe, expect, test } from 'vitest';
import { type ControlPlane, type ControlPlaneOptions, startControlPlane } from '../../../src/controlplane/index.js';
import { newPrivateKey } from '../../../src/identity/csr.js';
import { authorities, ID } from './support.js';

const { folder, closeAll } = authorities();
const planes: ControlPlane[] = [];
afterEach(async () => {
  await Promise.all(planes.splice(0).map((plane) => plane.close()));
  await closeAll();
});

async function start(options: Partial<ControlPlaneOptions>): Promise<ControlPlane> {
  const ca = { directory: folder(), listen: '127.0.0.1:0' };
  const plane = await startControlPlane({ listen: '127.0.0.1:0', ca, ...options });
  planes.push(plane);
  return plane;
}

async function identity(plane: ControlPlane) {
  const privateKey = await newPrivateKey();
  const publicKey = createPublicKey(privateKey).export({ type: 'spki', format: 'der' });
  const issued = await plane.ca?.authority.issue({ spiffeId: ID, publicKey, by: 'test' });
  return {
    key: privateKey.export({ type: 'pkcs8', format: 'pem' }),
    cert: issued?.certificates.join('') as string,
    serial: issued?.serial as string,
  };
}

/** Whether the port answers in HTTP/2: with its settings, or by closing. `until`: resolves when the connection has ended. */
function answers(
  url: string,
  options: object,
): Promise<{ readonly answered: boolean; readonly until: Promise<void>; end(): void }> {
  return new Promise((resolve) => {
    const session = connectHttp2(url, options);
    const until = new Promise<void>((ended) => session.once('close', () => ended()));
    session.on('error', () => {});
    session.once('remoteSettings', () => resolve({ answered: true, until, end: () => session.destroy() }));
    session.once('close', () => resolve({ answered: false, until, end() {} }));
  });
}

describe('ADS over TLS', () => {
  const tls = { rejectUnauthorized: false };

  test('strict: a certificate of the mesh is let in; clear text and nobody are not', async () => {
    const plane = await start({ tls: 'strict' });
    const { key, cert } = await identity(plane);
    const good = await answers(`https://127.0.0.1:${plane.port}`, { ...tls, key, cert });
    expect(good.answered).toBe(true);
    good.end();
    expect((await answers(`https://127.0.0.1:${plane.port}`, tls)).answered).toBe(false);
    expect((await answers(`http://127.0.0.1:${plane.port}`, {})).answered).toBe(false);
  });

  test('permissive: clear text is let in as well', async () => {
    const plane = await start({ tls: 'permissive' });
    const { key, cert } = await identity(plane);
    for (const [url, options] of [
      ['https', { ...tls, key, cert }],
      ['http', {}],
    ] as const) {
      const peer = await answers(`${url}://127.0.0.1:${plane.port}`, options);
      expect(peer.answered).toBe(true);
      peer.end();
    }
  });

  test('who is revoked is cut off', async () => {
    const plane = await start({ tls: 'strict' });
    const { key, cert, serial } = await identity(plane);
    const peer = await answers(`https://127.0.0.1:${plane.port}`, { ...tls, key, cert });
    expect(peer.answered).toBe(true);
    await plane.ca?.authority.revoke(serial);
    await peer.until;
    expect((await answers(`https://127.0.0.1:${plane.port}`, { ...tls, key, cert })).answered).toBe(false);
  });

  test('needs an authority', async () => {
    await expect(startControlPlane({ rateLimits: 'nowhere', tls: 'strict' })).rejects.toThrow(/give ca/);
  });
});
