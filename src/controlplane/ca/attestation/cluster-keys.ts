import { readFile } from 'node:fs/promises';
import { request as httpRequest } from 'node:http';
import { request as httpsRequest } from 'node:https';
import type { Clock } from '../../../core/clock.js';
import { DecodeError, shown } from '../../../core/decode.js';

export interface ClusterKeysOptions {
  /** The cluster's keys: a file, or an `https://` URL (`/openid/v1/jwks` of its API server). `http://` only of this machine (`kubectl proxy`). */
  readonly jwks: string;
  /** PEM file of who certifies the API server: in a pod `/var/run/secrets/kubernetes.io/serviceaccount/ca.crt`. Default: the system's roots. */
  readonly caFile?: string | undefined;
  /** File of the token that is shown to the API server: in a pod `/var/run/secrets/kubernetes.io/serviceaccount/token`; read each time, as it is renewed. Default: none. */
  readonly tokenFile?: string | undefined;
}

const TIMEOUT_MS = 5_000;
const MAX_BYTES = 262_144;
const SCHEME = /^[a-z][a-z0-9+.-]*:\/\//i;
const THIS_MACHINE = new Set(['localhost', '127.0.0.1', '[::1]']);

/** Throws a DecodeError where whoever is on the way could put in keys of his own. */
export function checkKeysAddress(jwks: string, place: string): void {
  if (!SCHEME.test(jwks)) return;
  const url = URL.canParse(jwks) ? new URL(jwks) : undefined;
  if (url?.protocol === 'https:' || (url?.protocol === 'http:' && THIS_MACHINE.has(url.hostname))) return;
  throw new DecodeError(place, `must be a file, or an https:// URL, got ${shown(jwks)}`);
}

/** The keys as the cluster has them now, JSON. Rejects, without the token in its message, where they cannot be had. */
export async function clusterKeys({ jwks, caFile, tokenFile }: ClusterKeysOptions, clock: Clock): Promise<string> {
  if (!SCHEME.test(jwks)) return readFile(jwks, 'utf8');
  const ca = caFile === undefined ? undefined : await readFile(caFile, 'utf8');
  const token = tokenFile === undefined ? undefined : (await readFile(tokenFile, 'utf8')).trim();
  if (token !== undefined && !/^[\x21-\x7e]+$/.test(token)) throw new Error(`${tokenFile}: this is no bearer token`);
  return new Promise((resolve, reject) => {
    const url = new URL(jwks);
    const send = url.protocol === 'https:' ? httpsRequest : httpRequest;
    const call = send(url, {
      agent: false,
      headers: token === undefined ? {} : { authorization: `Bearer ${token}` },
      ...(ca !== undefined && { ca }),
    });
    const cancel = clock.after(TIMEOUT_MS, () => call.destroy(new Error(`no answer within ${TIMEOUT_MS} ms`)));
    call.on('close', cancel);
    call.on('error', reject);
    call.on('response', (response) => {
      // A redirect is followed no more than any other answer: the token is for nobody else.
      if (response.statusCode !== 200) return void call.destroy(new Error(`${jwks} answered ${response.statusCode}`));
      const chunks: Buffer[] = [];
      let bytes = 0;
      response.on('data', (chunk: Buffer) => {
        bytes += chunk.length;
        chunks.push(chunk);
        if (bytes > MAX_BYTES) call.destroy(new Error(`${jwks}: more than ${MAX_BYTES} bytes`));
      });
      response.on('error', reject);
      response.on('end', () => resolve(Buffer.concat(chunks).toString('utf8')));
    });
    call.end();
  });
}
