import type { Steps } from '../../core/steps.js';
import { CodecError } from './error.js';
import { MAX_MESSAGE_DEPTH, STEP_SIZE } from './limits.js';
import { LENGTH, MalformedError, WireReader } from './reader.js';

/** A string, bytes or a message begins where `reader` is: true when it was read, false to have it passed over. */
export type Visit = (fieldNumber: number, reader: WireReader) => boolean;

/**
 * Goes through the fields of one message without going into any, with pauses. `nameOf` is for the error that names the field. Throws CodecError
 * and nothing else.
 */
export function* scan(
  fullName: string,
  bytes: Uint8Array,
  visit: Visit,
  nameOf: (fieldNumber: number) => string | undefined = () => undefined,
): Steps<void> {
  const reader = new WireReader(bytes);
  let pauseAt = STEP_SIZE;
  let number = 0;
  try {
    while (reader.pos < reader.end) {
      number = 0;
      const tag = reader.tag();
      number = tag >>> 3;
      const isRead = (tag & 7) === LENGTH && visit(number, reader);
      if (!isRead) reader.skip(tag & 7, number, MAX_MESSAGE_DEPTH);
      if (++reader.work < pauseAt) continue;
      pauseAt = reader.work + STEP_SIZE;
      yield;
    }
  } catch (error) {
    if (error instanceof MalformedError)
      throw new CodecError(nameOf(number) ?? '', `malformed ${fullName}: ${error.message}`);
    throw error;
  }
}
