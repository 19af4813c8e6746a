import { generateKeyPairSync } from 'node:crypto';
import { createServer as createPlain, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { createServer as createTls } from 'node:https';
import type { AddressInfo } from 'node:net';
import type { CertificateAuthority } from '../../../src/controlplane/ca/authority.js';
import { checkCsr } from '../../../src/controlplane/ca/x509/csr.js';
import type { Clock } from '../../../src/core/clock.js';
import { newSpki } from './support.js';

/** How somebody else's PKI answers. */
export interface Habits {
  way: string;
  /** Answers 503 that often first. */
  busy?: number;
}

/** Ways of misbehaving that a server and a program have in common. */
export const WAYS = [
  'slow',
  'dead',
  'another key',
  'another name',
  'another chain',
  'no chain',
  'a longer life',
  'garbage',
  'half of it',
  'nothing',
  'too much',
] as const;

interface Order {
  readonly csr: string;
  readonly spiffeId: string;
  readonly dns?: readonly string[];
  readonly ips?: readonly string[];
  readonly lifetimeMs: number;
}

/** What somebody else signs, by his habits: the chain in PEM. */
async function signedBy(
  behind: CertificateAuthority,
  stranger: CertificateAuthority,
  { way }: Habits,
  { csr, spiffeId, dns = [], ips = [], lifetimeMs }: Order,
): Promise<readonly string[]> {
  const signs = way === 'another chain' ? stranger : behind;
  const { certificates } = await signs.issue({
    spiffeId: way === 'another name' ? 'spiffe://cluster.local/ns/default/sa/admin' : spiffeId,
    publicKey: way === 'another key' ? newSpki() : checkCsr(csr).publicKey,
    dns,
    ips,
    lifetimeMs: way === 'a longer life' ? 2 * lifetimeMs + 60_000 : lifetimeMs,
    by: 'test',
  });
  return way === 'no chain' ? certificates.slice(0, 1) : certificates;
}

/** Answers in place of what was asked for, where the way is one of those; else undefined. */
export function spoiled(way: string, good: string): string | undefined {
  if (way === 'garbage') return '-----BEGIN CERTIFICATE-----\n!!!\n-----END CERTIFICATE-----\n{';
  if (way === 'half of it') return good.slice(0, good.length / 2);
  if (way === 'nothing') return '';
  return way === 'too much' ? good.padEnd(2 * 1024 * 1024, '\n') : undefined;
}

/** A server of somebody else's PKI, which can be ended and started anew on its port. */
export class PkiServer {
  readonly habits: Habits = { way: 'good' };
  /** Requests that it has read. */
  asked = 0;
  #server: Server | undefined;
  #port = 0;

  constructor(
    readonly clock: Pick<Clock, 'wallTime'>,
    readonly behind: CertificateAuthority,
    private readonly stranger: CertificateAuthority,
    private readonly answer: (
      server: PkiServer,
      path: string,
      body: string,
      request: IncomingMessage,
    ) => Promise<[number, string]>,
    private readonly tls?: { readonly key: string; readonly cert: string },
  ) {}

  get url(): string {
    return `${this.tls === undefined ? 'http' : 'https'}://127.0.0.1:${this.#port}`;
  }

  async start(): Promise<this> {
    const listener = (request: IncomingMessage, response: ServerResponse): void => void this.#asked(request, response);
    const server = this.tls === undefined ? createPlain(listener) : createTls(this.tls, listener);
    await new Promise<void>((resolve) => server.listen(this.#port, '127.0.0.1', resolve));
    this.#port = (server.address() as AddressInfo).port;
    this.#server = server;
    return this;
  }

  async stop(): Promise<void> {
    const server = this.#server;
    this.#server = undefined;
    if (server === undefined) return;
    const closed = new Promise((resolve) => server.close(resolve));
    server.closeAllConnections();
    await closed;
  }

  async behave(way: string): Promise<void> {
    this.habits.way = way;
    if (way === 'dead') await this.stop();
    else if (this.#server === undefined) await this.start();
  }

  sign(order: Order): Promise<readonly string[]> {
    return signedBy(this.behind, this.stranger, this.habits, order);
  }

  async #asked(request: IncomingMessage, response: ServerResponse): Promise<void> {
    this.asked++;
    let body = '';
    for await (const chunk of request) body += chunk;
    if (this.habits.way === 'slow') return;
    if ((this.habits.busy ?? 0) > 0) {
      this.habits.busy = (this.habits.busy ?? 0) - 1;
      return void response.writeHead(503).end('{"errors":["Vault is sealed"]}');
    }
    const [status, good] = await this.answer(this, request.url ?? '', body, request);
    response.writeHead(status).end(spoiled(this.habits.way, good) ?? good);
  }
}

const listed = (names = ''): readonly string[] => names.split(',').filter((name) => name !== '');

/** Vault's PKI engine; `sesame` opens it. */
export const vaultAnswer: ConstructorParameters<typeof PkiServer>[3] = async (server, path, body, request) => {
  const { behind } = server;
  if (request.headers['x-vault-token'] !== 'sesame') return [403, '{"errors":["permission denied"]}'];
  if (path === '/v1/pki/ca_chain') return [200, behind.news.roots.join('')];
  if (path === '/v1/pki/crl/pem') return [200, behind.news.crls[1] as string];
  const asked = JSON.parse(body) as Readonly<Record<string, string>>;
  if (path === '/v1/pki/revoke') {
    await behind.revoke(asked.serial_number as string);
    return [200, '{"data":{}}'];
  }
  const lifetimeMs = Number.parseInt(asked.ttl as string, 10) * 1_000;
  const [certificate, ...ca_chain] = await server.sign({
    ...{ csr: asked.csr as string, spiffeId: asked.uri_sans as string, lifetimeMs },
    ...{ dns: listed(asked.alt_names), ips: listed(asked.ip_sans) },
  });
  return [200, JSON.stringify({ data: { certificate, ca_chain, issuing_ca: ca_chain[0] } })];
};

/** For a program that signs by asking it: the CSR comes in, the chain goes out. */
export const programAnswer: ConstructorParameters<typeof PkiServer>[3] = async (server, path, csr) => {
  const asked = new URL(path, 'http://localhost').searchParams;
  const lifetimeMs = Number(asked.get('until')) * 1_000 - server.clock.wallTime();
  return [200, (await server.sign({ csr, spiffeId: asked.get('id') as string, lifetimeMs })).join('')];
};

export const anotherKey = (): string =>
  generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export({ type: 'pkcs8', format: 'pem' }) as string;
