import { Server as HttpServer } from 'node:http';
import type { Http2Server } from 'node:http2';
import { Server as NetServer } from 'node:net';
import { Server as TlsServer } from 'node:tls';
import type { Clock } from '../../core/clock.js';
import type { Deadlines } from '../../core/deadlines.js';
import { DecodeError, number, string } from '../../core/decode.js';
import type { Logger } from '../../core/log.js';
import type { Meter } from '../../core/meter.js';
import type { TlsFactory } from '../../core/tls.js';
import type { LimitEnv } from '../../resilience/ratelimit/env.js';
import { type CallerOf, callerOf } from '../caller.js';
import type { Outbound } from '../../core/outbound.js';
import { hops } from '../remote-address.js';
import type { Random } from '../../core/random.js';
import type { WatchServer } from '../../core/server-config.js';
import { FACE, type Face, type FaceEnv, type HasFace } from './face.js';
import { Http1Face } from './http1-face.js';
import { Http2Face } from './http2-face.js';
import { listenAddress } from './listen-address.js';
import { type OnServingMode, Serving } from './serving.js';

/** "a default grace period of 10 minutes for long-lived RPCs" - gRFC A36. In milliseconds. */
export const DEFAULT_DRAIN_GRACE_MS = 600_000;
/** A day: longer than anybody waits, and short enough for a timer. */
const MAX_DRAIN_GRACE_MS = 86_400_000;

/** A server that may be served: node:http's (as Express, Fastify and others have it), node:http2's without TLS, or an `XdsServer` for gRPC. */
export type ServableServer = HttpServer | Http2Server | HasFace;

export interface ServeOptions {
  /** Where to listen, as the control plane knows it: `0.0.0.0:8080`, `[::]:8080`. */
  readonly address: string;
  /**
   * The service that this server is, by a name that others call it by: it is then configured by the Listener `inmesh.dev/inbound/<service>`, which is for any
   * address, and where there is none it serves all the same. Default: by the Listener for the address.
   */
  readonly service?: string;
  /** Who makes a request, where the application finds that out: for policies of the configuration that go by it, as `InboundOptions.caller`. Default: nobody in particular. */
  readonly caller?: CallerOf;
  /** How many proxies in front of this server are believed about the client's address, as `InboundOptions.trustedProxies`. Default 0. */
  readonly trustedProxies?: number;
  /** Told when serving begins and ends, and why. Default: both are logged. */
  readonly onServingMode?: OnServingMode;
  /** How long requests of old connections may go on after the listener changed, in milliseconds, to a day. Default 600_000 (gRFC A36). */
  readonly drainGraceMs?: number;
}

/** What serving takes from the mesh. */
export interface ServeEnv {
  readonly watch: WatchServer;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly deadlines: Deadlines;
  readonly meter: Meter;
  readonly limits?: LimitEnv | undefined;
  readonly outbound?: Outbound | undefined;
  readonly tls: TlsFactory;
}

/**
 * Puts a server under configuration from xDS (gRFC A36): the port is open while there is a listener for its address, connections are taken as
 * its filter chains say, and requests as their routes do. Throws DecodeError when the options cannot be meant.
 */
export function serveXds(server: ServableServer, options: ServeOptions, env: ServeEnv): Serving {
  const address = listenAddress(options.address, 'serve.address');
  const drainGraceMs = number(
    options.drainGraceMs ?? DEFAULT_DRAIN_GRACE_MS,
    'serve.drainGraceMs',
    0,
    MAX_DRAIN_GRACE_MS,
  );
  const serving = new Serving({
    address,
    watch:
      options.service === undefined
        ? env.watch
        : (_, watcher) => env.watch({ service: string(options.service, 'serve.service') }, watcher),
    face: faceOf(server, env),
    onServingMode: options.onServingMode,
    drainGraceMs,
    clock: env.clock,
    random: env.random,
    logger: env.logger,
    meter: env.meter,
    tls: env.tls,
    limits: env.limits,
    outbound: env.outbound,
    caller: callerOf(options.caller, 'serve.caller'),
    trustedHops: hops(options.trustedProxies, 'serve.trustedProxies'),
  });
  serving.start();
  return serving;
}

function faceOf(server: ServableServer, env: FaceEnv): Face {
  if (FACE in server) return server[FACE](env);
  if (server instanceof HttpServer) return new Http1Face(server, env);
  if (server instanceof TlsServer) {
    throw new DecodeError(
      'serve',
      'a server with TLS of its own cannot be served: make one with http.createServer or http2.createServer',
    );
  }
  if (server instanceof NetServer) return new Http2Face(server, env);
  throw new DecodeError(
    'serve',
    "must be a node:http or node:http2 server, or for gRPC an XdsServer, which takes the place of grpc-js's Server",
  );
}
