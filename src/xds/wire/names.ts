import { CodecError } from './error.js';
import { MAX_MESSAGE_DEPTH } from './limits.js';
import { LENGTH, MalformedError, WireReader } from './reader.js';

/** `type.googleapis.com/a.b.C` as `a.b.C`: what follows the last slash. */
export function messageName(typeUrl: string): string {
  return typeUrl.slice(typeUrl.lastIndexOf('/') + 1);
}

/** Field 1 of a message, a string; '' when it is not set. All else is passed over. */
export function readNameField(fullName: string, bytes: Uint8Array): string {
  const reader = new WireReader(bytes);
  let name = '';
  try {
    while (reader.pos < reader.end) {
      const tag = reader.tag();
      if (tag === ((1 << 3) | LENGTH)) name = reader.string();
      else reader.skip(tag & 7, tag >>> 3, MAX_MESSAGE_DEPTH);
    }
  } catch (error) {
    if (error instanceof MalformedError) throw new CodecError('', `malformed ${fullName}: ${error.message}`);
    throw error;
  }
  return name;
}
