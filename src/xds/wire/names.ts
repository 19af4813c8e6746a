import type { Steps } from '../../core/steps.js';
import { scan } from './scan.js';

/** `type.googleapis.com/a.b.C` as `a.b.C`: what follows the last slash. */
export function messageName(typeUrl: string): string {
  return typeUrl.slice(typeUrl.lastIndexOf('/') + 1);
}

/** Field 1 of a message, a string; '' when it is not set. All else is passed over. */
export function* readNameField(fullName: string, bytes: Uint8Array): Steps<string> {
  let name = '';
  yield* scan(fullName, bytes, (number, reader) => {
    if (number !== 1) return false;
    name = reader.string();
    return true;
  });
  return name;
}
