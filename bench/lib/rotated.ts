import type * as grpc from '@grpc/grpc-js';
import { ECHO } from './echo.js';

/** What `rotation` calls over gRPC: one reply, and a stream of them. */
export const ROTATED = {
  get: ECHO.get,
  watch: { ...ECHO.get, path: '/bench.Echo/Watch', responseStream: true },
} satisfies grpc.ServiceDefinition;

/** A stream lasts for half a second: less than what a certificate in use has left, however short-lived. */
export const STREAM_EVERY_MS = 25;
export const STREAM_MESSAGES = 20;

export interface PlaneStart {
  readonly config: string;
  readonly directory: string;
  readonly listen: string;
  readonly caListen: string;
  readonly leafMs: number;
  readonly distributeMs: number;
}

export interface ServerStart {
  readonly service: string;
  readonly xds: string;
  readonly ca: string;
  readonly token: string;
  readonly serve: string;
  readonly kind: 'http' | 'grpc';
}

/** PEM, both. */
export interface Issued {
  readonly cert: string;
  readonly key: string;
}
