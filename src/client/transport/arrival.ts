import type { MeshError } from '../../core/errors.js';
import { ConnectError } from './errors.js';

/** The next connection, for those who wait for one and send nothing on it (`Transport.connect`): one wait, whoever is in it. */
export class Arrival {
  #waiting:
    | { readonly promise: Promise<void>; readonly resolve: () => void; readonly reject: (error: MeshError) => void }
    | undefined;

  /** Somebody waits: a connection that no call needs any more is to be kept. */
  get awaited(): boolean {
    return this.#waiting !== undefined;
  }

  wait(): Promise<void> {
    if (this.#waiting !== undefined) return this.#waiting.promise;
    let resolve!: () => void;
    let reject!: (error: MeshError) => void;
    const promise = new Promise<void>((...settle) => {
      [resolve, reject] = settle;
    });
    this.#waiting = { promise, resolve, reject };
    return promise;
  }

  made(): void {
    this.#waiting?.resolve();
    this.#waiting = undefined;
  }

  /** There is none, and none is being made. */
  failed(error: MeshError): void {
    this.#waiting?.reject(error);
    this.#waiting = undefined;
  }
}

/** The cluster's limits allow no connection, not even for one that none is open to: those it has are on their way out. */
export const noneLeft = (endpoint: string): ConnectError =>
  new ConnectError(endpoint, 'the cluster may open no more connections (max_connections)');
