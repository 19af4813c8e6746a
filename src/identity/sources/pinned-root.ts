import { connect, type DetailedPeerCertificate, type TLSSocket } from 'node:tls';
import type { Clock } from '../../core/clock.js';
import { fingerprint } from '../certificate.js';
import { CERTIFICATE, writePem } from '../pem.js';
import { NothingToShow } from './ca-refusal.js';

/** How long a server may take to hang up, in milliseconds. */
const LINGER_MS = 5_000;
/** Certificates that a server may send. */
const MAX_CHAIN = 16;

/**
 * The certificate with this fingerprint out of what a TLS server sends, PEM. Nothing else of the connection is believed, and nothing is sent on it: who knows the
 * fingerprint of a root can be handed the root by anybody.
 */
export function pinnedRoot(address: string, sha256: string, signal: AbortSignal, clock: Clock): Promise<string> {
  return new Promise((resolve, reject) => {
    const { host, port } = hostAndPort(address);
    // Whether the chain is good is seen when it is used, with the root as the only one.
    const socket: TLSSocket = connect({ host, port, rejectUnauthorized: false });
    const aborted = (): void => ended(signal.reason as Error);
    const ended = (outcome: Error | string): void => {
      signal.removeEventListener('abort', aborted);
      if (outcome instanceof Error) socket.destroy();
      else hangUp(socket, clock);
      if (typeof outcome === 'string') resolve(outcome);
      else reject(outcome);
    };
    if (signal.aborted) return aborted();
    signal.addEventListener('abort', aborted);
    // Stays: it may report once more while it goes.
    socket.on('error', (error) => ended(new Error(`${address}: ${error.message}`, { cause: error })));
    socket.once('secureConnect', () => {
      const root = inChain(socket.getPeerCertificate(true), sha256);
      ended(
        root ??
          new NothingToShow(
            `${address} sends no certificate with the fingerprint of the join token: it is not the CA that made it`,
          ),
      );
    });
  });
}

/** In order, so that the server does not take it for a handshake that was broken off. One that does not hang up in its turn does not keep the socket. */
function hangUp(socket: TLSSocket, clock: Clock): void {
  socket.once(
    'close',
    clock.after(LINGER_MS, () => socket.destroy(), { background: true }),
  );
  socket.resume().end().unref();
}

function inChain(leaf: DetailedPeerCertificate, sha256: string): string | undefined {
  let certificate: DetailedPeerCertificate | undefined = leaf;
  for (let i = 0; i < MAX_CHAIN && certificate?.raw !== undefined; i++) {
    if (fingerprint(certificate.raw) === sha256) return writePem(CERTIFICATE, certificate.raw);
    // A root is its own issuer.
    certificate = certificate.issuerCertificate === certificate ? undefined : certificate.issuerCertificate;
  }
  return undefined;
}

/** `ca.example:443`, `[::1]:443`. */
export function hostAndPort(address: string): { readonly host: string; readonly port: number } {
  const found = /^(?:\[([^\]]+)\]|([^:[\]]+)):(\d{1,5})$/.exec(address);
  const host = found?.[1] ?? found?.[2];
  const port = Number(found?.[3]);
  if (host === undefined || port < 1 || port > 65_535)
    throw new TypeError(`a CA's address must be host:port, got "${address.slice(0, 200)}"`);
  return { host, port };
}
