import { mkdtempSync, rmSync } from 'node:fs';
import { copyFile, readFile, unlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as grpc from '@grpc/grpc-js';
import { afterAll, afterEach, describe, expect, test } from 'vitest';
import type { XdsServer } from '../../../src/xds/bootstrap/index.js';
import { channelCredentials } from '../../../src/xds/client/credentials/index.js';
import { selfSigned } from '../../support/self-signed.js';
import { parseServer } from '../bootstrap/support.js';
import { environment, jwt } from './support.js';

const folder = mkdtempSync(join(tmpdir(), 'inmesh-credentials-'));
afterAll(() => rmSync(folder, { recursive: true }));
const path = (name: string): string => join(folder, name);

const server = selfSigned(folder, 'server');
const first = selfSigned(folder, 'first');
const second = selfSigned(folder, 'second');

const METHOD = { path: '/test.Who/AmI', requestStream: false, responseStream: false } as const;
const raw = (bytes: Buffer): Buffer => bytes;
const WHO = {
  AmI: {
    ...METHOD,
    requestSerialize: raw,
    requestDeserialize: raw,
    responseSerialize: raw,
    responseDeserialize: raw,
  },
};

const cleanup: (() => void)[] = [];
afterEach(() => {
  for (const end of cleanup.splice(0)) end();
});

/** A server that says whose certificate and which `authorization` it was shown: `first|Bearer …`. */
async function serve(credentials: grpc.ServerCredentials): Promise<string> {
  const instance = new grpc.Server();
  instance.addService(WHO, {
    AmI(call: grpc.ServerUnaryCall<Buffer, Buffer>, callback: grpc.sendUnaryData<Buffer>) {
      const name = call.getAuthContext().sslPeerCertificate?.subject.CN ?? '';
      callback(null, Buffer.from(`${name}|${call.metadata.get('authorization').join()}`));
    },
  });
  const port = await new Promise<number>((resolve, reject) =>
    instance.bindAsync('127.0.0.1:0', credentials, (error, bound) => (error === null ? resolve(bound) : reject(error))),
  );
  cleanup.push(() => instance.forceShutdown());
  return `127.0.0.1:${port}`;
}

/** One call on a channel of its own. */
function ask(uri: string, credentials: grpc.ChannelCredentials): Promise<string> {
  const client = new grpc.Client(uri, credentials, { 'grpc.use_local_subchannel_pool': 1 });
  return new Promise<string>((resolve, reject) => {
    client.makeUnaryRequest(METHOD.path, raw, raw, Buffer.alloc(0), (error, reply) =>
      error === null ? resolve(String(reply)) : reject(error),
    );
  }).finally(() => client.close());
}

describe('in plain text', () => {
  test('nothing is shown', async () => {
    const uri = await serve(grpc.ServerCredentials.createInsecure());
    const make = channelCredentials(grpc, parseServer({ server_uri: uri }), environment());
    expect(await ask(uri, make())).toBe('|');
  });

  test('a token is not sent: that is an error at once, and says what to do', () => {
    const call_creds = [{ type: 'jwt_token_file', config: { jwt_token_file: path('token') } }];
    const make = () => channelCredentials(grpc, parseServer({ call_creds }), environment());
    expect(make).toThrow('call_creds of xds:443 are not sent in plain text: its channel_creds must be "tls"');
  });
});

describe.skipIf(server === undefined || first === undefined || second === undefined)(
  'over TLS (skipped where there is no openssl)',
  () => {
    /** With `mutual` it asks for a certificate, and takes that of `first` or `second`. */
    async function serveTls(mutual = false): Promise<string> {
      const roots = Buffer.concat(await Promise.all([first, second].map((pair) => readFile(pair?.cert as string))));
      const pair = {
        cert_chain: await readFile(server?.cert as string),
        private_key: await readFile(server?.key as string),
      };
      return serve(grpc.ServerCredentials.createSsl(roots, [pair], mutual));
    }

    const tls = (uri: string, config: object, more: object = {}): XdsServer =>
      parseServer({ server_uri: uri, channel_creds: [{ type: 'tls', config }], ...more });

    const MUTUAL = {
      ca_certificate_file: path('server.pem'),
      certificate_file: path('client.pem'),
      private_key_file: path('client.key'),
      refresh_interval: '60s',
    };
    async function become(pair: typeof first): Promise<void> {
      await copyFile(pair?.cert as string, MUTUAL.certificate_file);
      await copyFile(pair?.key as string, MUTUAL.private_key_file);
    }

    test('a certificate that has changed is shown on new connections once the interval is over', async () => {
      const uri = await serveTls(true);
      const env = environment();
      await become(first);
      const make = channelCredentials(grpc, tls(uri, MUTUAL), env);
      expect(await ask(uri, make())).toBe('first|');
      await become(second);
      await env.clock.advance(59_999);
      expect(await ask(uri, make())).toBe('first|');
      await env.clock.advance(1);
      expect(await ask(uri, make())).toBe('second|');
      expect(env.logger.warnings).toEqual([]);
    });

    const spoiled: [string, () => Promise<void>, RegExp][] = [
      ['gone', () => unlink(MUTUAL.private_key_file), /ENOENT.*client\.key/],
      ['half-written', () => writeFile(MUTUAL.certificate_file, '-----BEGIN'), /client\.pem: must begin with a cert/],
      ['not of a kind', () => copyFile(second?.cert as string, MUTUAL.certificate_file), /key values mismatch/],
    ];
    test.each(spoiled)('files that are %s leave the last good ones in use, until they are mended', async (...args) => {
      const [, spoil, message] = args;
      const uri = await serveTls(true);
      const env = environment();
      await become(first);
      const make = channelCredentials(grpc, tls(uri, MUTUAL), env);
      make();
      await spoil();
      await env.clock.advance(60_000);
      expect(await ask(uri, make())).toBe('first|');
      expect(env.logger.warnings).toEqual([
        {
          message: 'certificate files for a control plane cannot be used; those read before stay in use',
          fields: { ageMs: 60_000, error: expect.stringMatching(message) },
        },
      ]);
      await become(second);
      expect(await ask(uri, make())).toBe('second|');
    });

    test('files that never were good are an error that names the file', async () => {
      const env = environment();
      const missing = channelCredentials(grpc, tls('x:1', { ca_certificate_file: path('nowhere') }), env);
      expect(missing).toThrow(/ENOENT.*nowhere/);
      await writeFile(path('empty.pem'), '');
      const empty = channelCredentials(grpc, tls('x:1', { ca_certificate_file: path('empty.pem') }), env);
      expect(empty).toThrow(/empty\.pem: must begin with a certificate in PEM/);
      await copyFile(server?.cert as string, path('empty.pem'));
      expect(() => empty()).not.toThrow();
    });

    test('the server must be of the named roots', async () => {
      const uri = await serveTls();
      const make = channelCredentials(grpc, tls(uri, { ca_certificate_file: first?.cert }), environment());
      await expect(ask(uri, make())).rejects.toThrow(/UNAVAILABLE.*self.signed certificate/s);
    });

    const roots = { ca_certificate_file: server?.cert };
    const callCreds = { call_creds: [{ type: 'jwt_token_file', config: { jwt_token_file: path('token') } }] };

    test('a token is sent as a bearer, and kept from one channel to the next (A97)', async () => {
      const uri = await serveTls();
      const env = environment();
      const token = jwt({ exp: env.clock.wallTime() / 1_000 + 3_600 });
      await writeFile(path('token'), token);
      const make = channelCredentials(grpc, tls(uri, roots, callCreds), env);
      expect(await ask(uri, make())).toBe(`|Bearer ${token}`);
      await unlink(path('token'));
      expect(await ask(uri, make())).toBe(`|Bearer ${token}`);
    });

    test('a token that cannot be had fails the call with the status of A97', async () => {
      const uri = await serveTls();
      const missing = channelCredentials(grpc, tls(uri, roots, callCreds), environment());
      await expect(ask(uri, missing())).rejects.toMatchObject({
        code: grpc.status.UNAVAILABLE,
        details: expect.stringMatching(/jwt_token_file cannot be read: ENOENT/),
      });
      await writeFile(path('token'), 'not.a.token');
      const malformed = channelCredentials(grpc, tls(uri, roots, callCreds), environment());
      await expect(ask(uri, malformed())).rejects.toMatchObject({
        code: grpc.status.UNAUTHENTICATED,
        details: expect.stringMatching(/must hold a JWT with "exp"/),
      });
    });
  },
);
