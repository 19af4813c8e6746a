import type { TlsClient } from '../../core/tls.js';

/** Tells of one connection, at most once, that it should take no new calls: what its TLS goes by was replaced. */
export class Retirement {
  #over = false;
  #listener: (() => void) | undefined;

  now(): void {
    if (this.#over) return;
    this.#over = true;
    this.#listener?.();
  }

  /** The one who holds the connection now. Is told at once of what has been. */
  listen(listener: (() => void) | undefined): void {
    this.#listener = listener;
    if (this.#over) listener?.();
  }
}

/** For the message of one who waited in vain. */
export const waiting = (tls: TlsClient | undefined): string =>
  tls?.waitsFor === undefined ? '' : `; TLS waits for ${tls.waitsFor}`;
