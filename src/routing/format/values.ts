import type { Call, CallRecord } from '../../core/call.js';
import type { Clock } from '../../core/clock.js';
import type { HeaderFields } from '../../core/headers.js';
import type { Random } from '../../core/random.js';
import type { RequestView } from '../request.js';

/** The request that a format is filled in for; a Call, or what a server has of one. */
export type FormatRequest = RequestView & {
  readonly record?: CallRecord | undefined;
  readonly downstream?: Call['downstream'];
};

/** The head of the reply; there is none when a format is filled in for a request. */
export interface FormatReply {
  readonly status: number;
  readonly headers: HeaderFields;
}

/** What formats need from outside. */
export interface FormatEnv {
  readonly clock: Clock;
  /** For `%UNIQUE_ID%`. */
  readonly random: Random;
}

/** One command's value for one request; undefined when there is none. */
export type Value = (request: FormatRequest, reply: FormatReply | undefined, env: FormatEnv) => string | undefined;
