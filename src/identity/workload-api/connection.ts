import type { Clock } from '../../core/clock.js';
import type { Random } from '../../core/random.js';
import { RpcConnection } from '../rpc/connection.js';
import { KeptStream } from '../rpc/kept-stream.js';
import { endpointTarget } from './endpoint.js';
import type { JwtSvidEntry, ValidatedJwt, X509BundlesResponse, X509SvidResponse } from './messages.js';
import { readJwtBundles, readJwtSvids, readValidatedJwt, readX509Bundles, readX509Svids } from './read.js';
import { EMPTY_REQUEST, writeJwtSvidRequest, writeValidateJwtRequest } from './write.js';

/** How long one question may take. The endpoint is on this machine; SPIRE signs a JWT in milliseconds, and asks its server for it first. */
export const UNARY_LIMIT_MS = 10_000;

/** gRPC status codes of SPIFFE Workload Endpoint, appendix A. */
const INVALID_ARGUMENT = 3;
const UNIMPLEMENTED = 12;

const path = (method: string): string => `/SpiffeWorkloadAPI/${method}`;

export interface WorkloadApiOptions {
  /** `unix:///run/spire/agent.sock` or `tcp://127.0.0.1:8000`. */
  readonly endpoint: string;
  /** What is watched keeps no process alive. Default: it does. */
  readonly background?: boolean;
  readonly clock: Clock;
  readonly random: Random;
}

export interface StreamWatcher<T> {
  /** All that there is now: it replaces what was told before (SPIFFE Workload API section 4.3). */
  changed(value: T): void;
  /** What was told before stands. `final`: nothing comes after it. */
  failed(error: Error, final: boolean): void;
}

/** Calls of the SPIFFE Workload API. Streams are kept open, "for as long as is reasonably possible" (section 4.2). */
export class WorkloadApi {
  readonly name: string;
  readonly #rpc: RpcConnection;
  readonly #streams = new Set<() => void>();

  constructor(private readonly options: WorkloadApiOptions) {
    const target = endpointTarget(options.endpoint);
    this.name = `workload API ${options.endpoint}`;
    // "every client request to the SPIFFE Workload Endpoint MUST include the static gRPC metadata key" - section 3
    const metadata = { 'workload.spiffe.io': 'true' };
    // A proxy of the environment is none of a local endpoint's business.
    const channel = { 'grpc.enable_http_proxy': 0 };
    this.#rpc = new RpcConnection({
      target,
      metadata,
      channel,
      background: options.background ?? false,
      clock: options.clock,
    });
  }

  watchX509Svids(watcher: StreamWatcher<X509SvidResponse>): () => void {
    return this.#watch('FetchX509SVID', readX509Svids, watcher);
  }

  watchX509Bundles(watcher: StreamWatcher<X509BundlesResponse>): () => void {
    return this.#watch('FetchX509Bundles', readX509Bundles, watcher);
  }

  watchJwtBundles(watcher: StreamWatcher<ReadonlyMap<string, string>>): () => void {
    return this.#watch('FetchJWTBundles', readJwtBundles, watcher);
  }

  /** `spiffeId` '': of every identity that the workload has. */
  jwtSvids(audience: readonly string[], spiffeId = ''): Promise<readonly JwtSvidEntry[]> {
    return this.#ask('FetchJWTSVID', writeJwtSvidRequest(audience, spiffeId), readJwtSvids);
  }

  /** The endpoint's own verdict; it rejects tokens that are not good with INVALID_ARGUMENT. */
  validateJwtSvid(audience: string, token: string): Promise<ValidatedJwt> {
    return this.#ask('ValidateJWTSVID', writeValidateJwtRequest(audience, token), readValidatedJwt);
  }

  close(): void {
    for (const stop of [...this.#streams]) stop();
    this.#rpc.close();
  }

  async #ask<T>(method: string, request: Uint8Array, read: (bytes: Uint8Array) => T | undefined): Promise<T> {
    const bytes = await this.#rpc.unary(path(method), request, UNARY_LIMIT_MS);
    const found = read(bytes);
    if (found === undefined) throw unreadable(method);
    return found;
  }

  #watch<T>(method: string, read: (bytes: Uint8Array) => T | undefined, watcher: StreamWatcher<T>): () => void {
    const { clock, random } = this.options;
    const message = (bytes: Uint8Array): void => {
      kept.alive();
      const found = read(bytes);
      // "Clients receiving a message in which a mandatory field has a default value SHOULD report an error and discard the message" - section 4.5
      if (found === undefined) watcher.failed(unreadable(method), false);
      else watcher.changed(found);
    };
    const kept = new KeptStream({
      clock,
      random,
      open: (ended) => this.#rpc.serverStream(path(method), EMPTY_REQUEST, { message, ended }),
      lost: (error) => {
        const final = error?.code === INVALID_ARGUMENT || error?.code === UNIMPLEMENTED;
        // A server that restarts ends its streams; that alone is no trouble.
        if (error !== undefined) watcher.failed(error, final);
        return !final;
      },
    });
    const stop = (): void => {
      this.#streams.delete(stop);
      kept.close();
    };
    this.#streams.add(stop);
    return stop;
  }
}

const unreadable = (method: string): Error =>
  new Error(`${path(method)}: the answer is malformed, too large, or lacks a field that it must have`);
