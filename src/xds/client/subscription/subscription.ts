import type { ResourceType } from '../../../core/resources.js';

/** gRPC status INVALID_ARGUMENT, which every client sends with a NACK. */
export const INVALID_ARGUMENT = 3;

/** A request of either protocol. */
export interface TypeRequest {
  readonly message: object;
  /** Names of which the server hears for the first time on this stream, or anew: it has to answer for them. */
  readonly names: readonly string[];
}

/**
 * What one type's requests to one server say, in one of the two protocols (Envoy, xds_protocol.rst). Knows no stream and no resource, so that
 * the rules can be read and tested by themselves.
 */
export interface Subscription {
  readonly type: ResourceType;
  readonly names: ReadonlySet<string>;
  /** Wanted from now on. One that is wanted already is asked for again. */
  add(name: string): void;
  /** Not wanted any more. `absent`: the server's last word was that there is no such resource. */
  remove(name: string, absent: boolean): void;
  /** A new stream: the server knows nothing. */
  streamOpened(): void;
  /** True when the server has to be told of other names. */
  readonly pending: boolean;
  /** True when this type was asked for on this stream, so that a response for it is an answer. */
  readonly asked: boolean;
  /** The request that tells what changed. */
  request(): TypeRequest;
  /** An ACK. */
  accepted(version: string, nonce: string): TypeRequest;
  /** A NACK, and why. */
  rejected(nonce: string, message: string): TypeRequest;
  /** What was accepted stands, although its stream has gone before it could be acknowledged. */
  acceptedAfterStream(version: string): void;
  /** What this server sent is no longer all that the client has: it must not leave anything out. */
  forget(): void;
  /**
   * Until when, on the monotonic clock, a response may be on its way that was sent before the server heard of the name; undefined: none
   * can be.
   */
  doubtfulUntil(name: string): number | undefined;
}
