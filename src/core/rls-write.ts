import type { RlsDescriptor, RlsPair, RlsRequest, RlsResponse, RlsStatus } from './rls.js';
import { bytesField, textField, wholeField } from './wire-write.js';

/** `RateLimitRequest`. */
export const writeRlsRequest = ({ domain, descriptors, hitsAddend }: RlsRequest): Uint8Array =>
  Buffer.concat([
    textField(1, domain),
    ...descriptors.map((it) => bytesField(2, descriptor(it))),
    wholeField(3, hitsAddend),
  ]);

/** `RateLimitResponse`. */
export const writeRlsResponse = (response: RlsResponse): Uint8Array =>
  Buffer.concat([
    wholeField(1, response.overallCode),
    ...response.statuses.map((it) => bytesField(2, status(it))),
    ...response.responseHeaders.map((it) => bytesField(3, pair(it))),
    ...response.requestHeaders.map((it) => bytesField(4, pair(it))),
    ...(response.rawBody.byteLength === 0 ? [] : [bytesField(5, response.rawBody)]),
  ]);

function descriptor({ entries, limit, hitsAddend }: RlsDescriptor): Uint8Array {
  const parts = entries.map((it) => bytesField(1, pair(it)));
  if (limit !== undefined) {
    parts.push(bytesField(2, Buffer.concat([wholeField(1, limit.requestsPerUnit), wholeField(2, limit.unit)])));
  }
  // google.protobuf.UInt64Value: 0 is said by a message that is empty.
  if (hitsAddend !== undefined) parts.push(bytesField(3, wholeField(1, hitsAddend)));
  return Buffer.concat(parts);
}

function status({ code, currentLimit, limitRemaining, resetMs }: RlsStatus): Uint8Array {
  const parts = [wholeField(1, code)];
  if (currentLimit !== undefined) {
    const { requestsPerUnit, unit, name } = currentLimit;
    parts.push(bytesField(2, Buffer.concat([wholeField(1, requestsPerUnit), wholeField(2, unit), textField(3, name)])));
  }
  parts.push(wholeField(3, limitRemaining));
  if (resetMs !== undefined) {
    const seconds = Math.floor(resetMs / 1_000);
    const nanos = Math.floor((resetMs - seconds * 1_000) * 1e6);
    parts.push(bytesField(4, Buffer.concat([wholeField(1, seconds), wholeField(2, nanos)])));
  }
  return Buffer.concat(parts);
}

/** `RateLimitDescriptor.Entry`, and `HeaderValue`: both have the key first and the value second. */
const pair = ([key, value]: RlsPair): Uint8Array => Buffer.concat([textField(1, key), textField(2, value)]);
