import { Agent, request as httpRequest } from 'node:http';
import { Agent as TlsAgent, request as httpsRequest } from 'node:https';
import type { Clock } from '../../../core/clock.js';
import { systemClock } from '../../../core/clock.js';
import { CaError } from '../errors.js';
import type { Signer } from '../signer.js';
import { certificatesIn, certificatesOf } from '../x509/chain.js';

export interface VaultSignerOptions {
  /** `https://vault.example:8200`. */
  readonly url: string;
  /** Where the PKI engine is mounted. Default `pki`. */
  readonly mount?: string;
  /** Role whose rules allow the SPIFFE IDs of this mesh (`allowed_uri_sans`), without `require_cn`. */
  readonly role: string;
  /** Asked for before each request: tokens are renewed by whoever has them. */
  readonly token: () => Promise<string> | string;
  /** Roots of Vault's own certificate, PEM. Default: the system's. */
  readonly ca?: string;
  /** Of one request, in milliseconds. Default 5 s. */
  readonly timeoutMs?: number;
  readonly clock?: Clock;
}

const TIMEOUT_MS = 5_000;
const MAX_ANSWER = 1024 * 1024;
/** Attempts at one request, and the wait between them in milliseconds: Vault's standby nodes answer 429, 472 and 473, one that is sealed 503. */
const ATTEMPTS = 3;
const RETRY_MS = 100;
const RETRIED = new Set([412, 429, 472, 473, 500, 502, 503, 504]);

/** Signs with the PKI engine of HashiCorp Vault, OpenBao, or what speaks as they do (`POST /v1/<mount>/sign/<role>`). */
export function vaultSigner(options: VaultSignerOptions): Signer {
  const { url, mount = 'pki', role, token, ca, timeoutMs = TIMEOUT_MS, clock = systemClock } = options;
  const base = new URL(url);
  const name = `vault ${base.origin}`;
  const agent = base.protocol === 'https:' ? new TlsAgent({ keepAlive: true }) : new Agent({ keepAlive: true });
  let closed = false;

  async function once(
    method: string,
    path: string,
    body: object | undefined,
  ): Promise<{ readonly status: number; readonly text: string }> {
    const text = body === undefined ? undefined : JSON.stringify(body);
    const headers = {
      'x-vault-token': await token(),
      ...(text !== undefined && { 'content-type': 'application/json' }),
    };
    return new Promise((resolve, reject) => {
      const send = base.protocol === 'https:' ? httpsRequest : httpRequest;
      const call = send(
        new URL(`/v1/${mount}/${path}`, base),
        { agent, method, headers, ...(ca !== undefined && { ca }) },
        (response) => {
          let answer = '';
          response.setEncoding('utf8').on('data', (chunk: string) => {
            answer += chunk;
            if (answer.length > MAX_ANSWER) call.destroy(new Error(`an answer of more than ${MAX_ANSWER} bytes`));
          });
          response.on('error', reject);
          response.on('end', () => resolve({ status: response.statusCode ?? 0, text: answer }));
        },
      );
      const cancel = clock.after(timeoutMs, () => call.destroy(new Error(`no answer within ${timeoutMs} ms`)));
      call.on('close', cancel);
      call.on('error', reject);
      call.end(text);
    });
  }

  /** Asks again where that may help. Errors show what Vault says, which never holds the token. */
  async function ask(method: string, path: string, body?: object): Promise<string> {
    for (let attempt = 1; ; attempt++) {
      const answer = await once(method, path, body).catch((error: Error) => error);
      if (!(answer instanceof Error) && answer.status >= 200 && answer.status < 300) return answer.text;
      const why = answer instanceof Error ? answer.message : `${answer.status} ${answer.text.slice(0, 200)}`;
      if (closed) throw new CaError('unavailable', `${name}: the authority is closing`);
      const again = answer instanceof Error || RETRIED.has(answer.status);
      if (!again) throw new CaError('forbidden', `${name} refused: ${why}`);
      if (attempt === ATTEMPTS) throw new CaError('unavailable', `${name}: ${why}`, 1_000);
      await new Promise<void>((resolve) => clock.after(RETRY_MS * attempt, resolve));
    }
  }

  return {
    name,
    async sign({ csr, spiffeId, dns, ips, notAfter }) {
      if (csr === undefined) throw new CaError('state', `${name} signs CSRs only`);
      const ttl = `${Math.max(1, Math.floor((notAfter - clock.wallTime()) / 1_000))}s`;
      const body = { csr, ttl, uri_sans: spiffeId, alt_names: dns.join(), ip_sans: ips.join(), format: 'pem' };
      const text = await ask('POST', `sign/${role}`, { ...body, exclude_cn_from_sans: true });
      const { certificate, ca_chain, issuing_ca } = answered(text);
      const [leaf] = certificatesIn(typeof certificate === 'string' ? certificate : '');
      if (leaf === undefined) throw new CaError('unavailable', `${name}: its answer has no certificate`);
      const above = Array.isArray(ca_chain) && ca_chain.length > 0 ? ca_chain : [issuing_ca];
      const chain = above.flatMap((pem) => (typeof pem === 'string' ? certificatesIn(pem) : []));
      const roots = new Set(await this.roots());
      return [leaf, ...chain.filter((pem) => !roots.has(pem))];
    },
    async roots() {
      // The last of the chain is the root; an intermediate that is mounted alone is what is believed then.
      const chain = certificatesOf(await ask('GET', 'ca_chain').then((text) => text || ask('GET', 'ca/pem')));
      return chain.slice(-1);
    },
    async revoke(serial) {
      await ask('POST', 'revoke', { serial_number: serial.match(/../g)?.join(':') });
    },
    crls: async () => [await ask('GET', 'crl/pem')],
    async close() {
      closed = true;
      // With what is under way.
      agent.destroy();
    },
  };

  function answered(text: string): Record<string, unknown> {
    try {
      const { data } = JSON.parse(text) as { readonly data?: unknown };
      if (typeof data === 'object' && data !== null) return data as Record<string, unknown>;
    } catch {
      // Told below.
    }
    throw new CaError('unavailable', `${name}: its answer is not the one of a PKI engine`);
  }
}
