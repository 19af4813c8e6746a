import type { Server, ServerDuplexStream } from '@grpc/grpc-js';
import type { IdentitySource, IdentityState } from '../../core/identity.js';
import type { Logger } from '../../core/log.js';
import {
  type Codec,
  type DeltaDiscoveryRequest,
  type DeltaDiscoveryResponse,
  type DiscoveryRequest,
  type DiscoveryResponse,
  secretMethods,
} from '../../xds/wire/index.js';
import { secretNamed } from './secrets.js';
import { Incremental, StateOfTheWorld } from './stream.js';

export interface SecretDiscoveryOptions {
  readonly codec: Codec;
  readonly source: IdentitySource;
  /** Whether private keys may go over this port: a Unix socket that only the workload's own user can open. Trust goes to anybody. */
  readonly keys: boolean;
  readonly logger: Logger;
}

/** google.rpc.Code. */
const RESOURCE_EXHAUSTED = 8;
const PERMISSION_DENIED = 7;

interface OpenStream {
  readonly push: () => void;
  readonly end: () => void;
}

class KeysForbidden extends Error {}

/** Serves the source's certificate and trust to Envoy, or to any other xDS client, as SPIRE's and Istio's agents do (SDS). The result ends its streams, and what it watches. */
export function addSecretDiscovery(server: Server, options: SecretDiscoveryOptions): () => void {
  const { codec, source, keys, logger } = options;
  const open = new Set<OpenStream>();
  let state: IdentityState | undefined;
  const stop = source.watch({
    changed(next) {
      state = next;
      for (const { push } of [...open]) push();
    },
    // Whoever has a secret keeps it.
    failed() {},
  });
  const find = (name: string) => {
    const found = state === undefined ? undefined : secretNamed(name, state);
    if (found?.hasKey === true && !keys)
      throw new KeysForbidden(
        `secret "${name}" holds a private key, which is given over a Unix socket only (inmesh sds --socket): ask the CA for a certificate of your own`,
      );
    return found?.resource;
  };

  type Kind = typeof StateOfTheWorld | typeof Incremental;
  const handler =
    <Request, Response>(make: Kind) =>
    (call: ServerDuplexStream<Request, Response>): void => {
      const peer = call.getPeer();
      const refused = (reason: string): void => logger.warn('a secret was refused', { peer, reason });
      const stream = new make({ codec, find, refused });
      const answer = (work: () => object | undefined): void => {
        try {
          const response = work();
          if (response !== undefined) call.write(response as Response);
        } catch (error) {
          over();
          const code = error instanceof KeysForbidden ? PERMISSION_DENIED : RESOURCE_EXHAUSTED;
          call.emit('error', { code, details: (error as Error).message });
        }
      };
      const own: OpenStream = { push: () => answer(() => stream.push()), end: () => call.end() };
      open.add(own);
      const over = (): void => void open.delete(own);
      call.on('data', (request: Request) => answer(() => stream.request(request as never)));
      call.on('end', () => {
        over();
        call.end();
      });
      call.on('error', over);
      call.on('cancelled', over);
      call.on('close', over);
    };
  const { stream, delta } = secretMethods(codec);
  server.addService(
    { stream, delta },
    {
      stream: handler<DiscoveryRequest, DiscoveryResponse>(StateOfTheWorld),
      delta: handler<DeltaDiscoveryRequest, DeltaDiscoveryResponse>(Incremental),
    },
  );
  return () => {
    stop();
    for (const { end } of [...open]) end();
    open.clear();
  };
}
