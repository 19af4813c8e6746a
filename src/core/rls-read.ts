import type { RlsDescriptor, RlsPair, RlsRequest, RlsResponse, RlsStatus } from './rls.js';
import { addItem, bytesOf, readFields, readInner, textOf, uint32Of, wholeOf } from './wire-read.js';

/** Descriptors, statuses, entries and header fields of one message, each; more is not meant. */
const MAX_ITEMS = 1_000;

/** Undefined when it is malformed, or holds too much. Fields that are not known are passed over, as protobuf has it. */
export function readRlsRequest(bytes: Uint8Array): RlsRequest | undefined {
  let domain = '';
  let hitsAddend = 0;
  const descriptors: RlsDescriptor[] = [];
  const sound = readFields(bytes, {
    1: (value) => {
      domain = textOf(value);
    },
    2: (value) => addItem(descriptors, readDescriptor(bytesOf(value)), MAX_ITEMS),
    3: (value) => {
      hitsAddend = uint32Of(value);
    },
  });
  return sound ? { domain, descriptors, hitsAddend } : undefined;
}

/** The same for `RateLimitResponse`. */
export function readRlsResponse(bytes: Uint8Array): RlsResponse | undefined {
  let overallCode = 0;
  let rawBody: Uint8Array = new Uint8Array(0);
  const statuses: RlsStatus[] = [];
  const responseHeaders: RlsPair[] = [];
  const requestHeaders: RlsPair[] = [];
  const sound = readFields(bytes, {
    1: (value) => {
      overallCode = wholeOf(value);
    },
    2: (value) => addItem(statuses, readStatus(bytesOf(value)), MAX_ITEMS),
    3: (value) => addItem(responseHeaders, readHeader(bytesOf(value)), MAX_ITEMS),
    4: (value) => addItem(requestHeaders, readHeader(bytesOf(value)), MAX_ITEMS),
    5: (value) => {
      rawBody = bytesOf(value);
    },
  });
  return sound ? { overallCode, statuses, responseHeaders, requestHeaders, rawBody } : undefined;
}

function readDescriptor(bytes: Uint8Array): RlsDescriptor {
  const entries: RlsPair[] = [];
  let limit: { requestsPerUnit: number; unit: number } | undefined;
  let hitsAddend: number | undefined;
  readInner(bytes, {
    1: (value) => addItem(entries, readPair(bytesOf(value)), MAX_ITEMS),
    2: (value) => {
      const found = limit ?? { requestsPerUnit: 0, unit: 0 };
      readInner(bytesOf(value), {
        1: (inner) => {
          found.requestsPerUnit = uint32Of(inner);
        },
        2: (inner) => {
          found.unit = wholeOf(inner);
        },
      });
      limit = found;
    },
    3: (value) => {
      hitsAddend ??= 0;
      readInner(bytesOf(value), {
        1: (inner) => {
          hitsAddend = wholeOf(inner);
        },
      });
    },
  });
  return { entries, limit, hitsAddend };
}

function readStatus(bytes: Uint8Array): RlsStatus {
  let code = 0;
  let currentLimit: { name: string; requestsPerUnit: number; unit: number } | undefined;
  let limitRemaining = 0;
  let resetMs: number | undefined;
  readInner(bytes, {
    1: (value) => {
      code = wholeOf(value);
    },
    2: (value) => {
      const found = currentLimit ?? { name: '', requestsPerUnit: 0, unit: 0 };
      readInner(bytesOf(value), {
        1: (inner) => {
          found.requestsPerUnit = uint32Of(inner);
        },
        2: (inner) => {
          found.unit = wholeOf(inner);
        },
        3: (inner) => {
          found.name = textOf(inner);
        },
      });
      currentLimit = found;
    },
    3: (value) => {
      limitRemaining = uint32Of(value);
    },
    4: (value) => {
      let seconds = 0;
      let nanos = 0;
      readInner(bytesOf(value), {
        1: (inner) => {
          seconds = wholeOf(inner);
        },
        2: (inner) => {
          nanos = wholeOf(inner);
        },
      });
      resetMs = seconds * 1_000 + nanos / 1e6;
    },
  });
  return { code, currentLimit, limitRemaining, resetMs };
}

function readPair(bytes: Uint8Array): RlsPair {
  let key = '';
  let value = '';
  readInner(bytes, {
    1: (inner) => {
      key = textOf(inner);
    },
    2: (inner) => {
      value = textOf(inner);
    },
  });
  return [key, value];
}

/** `HeaderValue`: `raw_value` is the value where it is no UTF-8, or the sender will not promise that it is. */
function readHeader(bytes: Uint8Array): RlsPair {
  let key = '';
  let value = '';
  readInner(bytes, {
    1: (inner) => {
      key = textOf(inner);
    },
    2: (inner) => {
      value = textOf(inner);
    },
    3: (inner) => {
      const raw = bytesOf(inner);
      if (raw.byteLength > 0) value = Buffer.from(raw.buffer, raw.byteOffset, raw.byteLength).toString('latin1');
    },
  });
  return [key, value];
}
