import type { IncomingMessage } from 'node:http';
import type { RequestOptions } from 'node:https';
import type { PeerCertificate } from 'node:tls';
import { MAX_BUNDLE_BYTES } from '../bundle.js';
import { readCertificate } from '../certificate.js';
import { workloadOf } from '../svid.js';

/** "Bundle endpoint clients SHOULD follow the redirect" (SPIFFE Federation 5.2.1.4): so many, and from the configured URL again next time. */
const MAX_REDIRECTS = 5;

/** How the server of a bundle is known (SPIFFE Federation section 5.2). */
export type EndpointAuthentication =
  /** By the system's roots, for the host in its URL. `ca`: PEM to be used in place of those. */
  | { readonly profile: 'https_web'; readonly ca?: readonly string[] | undefined }
  /** By its X509-SVID. `authorities`: PEM, of the trust domain of that ID. */
  | { readonly profile: 'https_spiffe'; readonly spiffeId: string; readonly authorities: readonly string[] };

/** Gets the text of a bundle. Rejects with an Error that says why there is none. */
export type FetchBundle = (url: URL, authentication: EndpointAuthentication, signal: AbortSignal) => Promise<string>;

/** "MUST have the scheme set to `https` and MUST NOT include userinfo" - section 5.2.1.1. Undefined: it is one. */
export function urlProblem(url: URL): string | undefined {
  if (url.protocol !== 'https:') return 'must be an https URL';
  return url.username === '' && url.password === '' ? undefined : 'must not have a user or password in it';
}

export const fetchBundle: FetchBundle = async (url, authentication, signal) => {
  const { request } = await import('node:https');
  let at = url;
  for (let redirects = 0; redirects <= MAX_REDIRECTS; redirects++) {
    const options: RequestOptions = {
      // None that is kept: the next fetch is minutes away, and may have other roots.
      agent: false,
      signal,
      headers: { accept: 'application/json' },
      minVersion: 'TLSv1.2',
      ...tlsOptions(authentication),
    };
    const reply = await new Promise<IncomingMessage>((resolve, reject) => {
      request(at, options, resolve).on('error', reject).end();
    });
    const next = redirectOf(reply, at);
    if (next === undefined) return await textOf(reply);
    reply.destroy();
    at = next;
  }
  throw new Error(`more than ${MAX_REDIRECTS} redirects`);
};

function tlsOptions(authentication: EndpointAuthentication): RequestOptions {
  if (authentication.profile === 'https_web') {
    return authentication.ca === undefined ? {} : { ca: [...authentication.ca] };
  }
  const { spiffeId, authorities } = authentication;
  // Called once OpenSSL has verified the chain; the host's name is of no concern.
  const checkServerIdentity = (_: string, { raw }: PeerCertificate): Error | undefined => {
    try {
      const { id } = workloadOf(readCertificate(raw));
      return id === spiffeId ? undefined : new Error(`the server is ${id}, and not ${spiffeId}`);
    } catch (error) {
      return new Error(`the server's certificate is no SVID: ${(error as Error).message}`);
    }
  };
  return { ca: [...authorities], checkServerIdentity };
}

/** "The target URL of the redirect MUST also be a valid bundle endpoint URL" - section 5.2.1.3. */
function redirectOf({ statusCode = 0, headers }: IncomingMessage, from: URL): URL | undefined {
  if (![301, 302, 303, 307, 308].includes(statusCode) || headers.location === undefined) return undefined;
  const next = new URL(headers.location, from);
  const problem = urlProblem(next);
  if (problem !== undefined) throw new Error(`the redirect to ${next.origin} ${problem}`);
  return next;
}

async function textOf(reply: IncomingMessage): Promise<string> {
  if (reply.statusCode !== 200) {
    reply.destroy();
    throw new Error(`the answer is HTTP ${reply.statusCode}`);
  }
  const parts: Buffer[] = [];
  let bytes = 0;
  for await (const part of reply as AsyncIterable<Buffer>) {
    bytes += part.length;
    if (bytes > MAX_BUNDLE_BYTES) throw new Error(`the answer has more than ${MAX_BUNDLE_BYTES} bytes`);
    parts.push(part);
  }
  return new TextDecoder('utf-8', { fatal: true }).decode(Buffer.concat(parts));
}
