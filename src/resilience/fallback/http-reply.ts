import type { Call } from '../../core/call.js';
import type { HeaderFields } from '../../core/headers.js';
import { localReply, type Reply } from '../../core/reply.js';

const NOTHING = new Uint8Array(0);
/** "cannot contain content" - RFC 9110 sections 15.3.5 and 15.4.5; 205 likewise, section 15.3.6. */
const WITHOUT_CONTENT = [204, 205, 304];

/** A reply over HTTP that we make: its length is what it is, whatever its headers say. */
export function httpReply(
  { method }: Pick<Call, 'method'>,
  status: number,
  headers: HeaderFields,
  bytes: Uint8Array,
): Reply {
  if (method !== 'HEAD' || bytes.byteLength > 0) delete headers['content-length'];
  if (WITHOUT_CONTENT.includes(status)) return localReply(status, headers);
  if (bytes.byteLength > 0) headers['content-length'] = String(bytes.byteLength);
  return localReply(status, headers, method === 'HEAD' ? NOTHING : bytes);
}
