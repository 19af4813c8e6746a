import type { RlsDescriptor, RlsPair, RlsRequest, RlsResponse, RlsStatus } from './rls.js';
import { BYTES, fields, VARINT, type WireValue } from './wire-fields.js';

/** Descriptors, statuses, entries and header fields of one message, each; more is not meant. */
const MAX_ITEMS = 1_000;
const UINT32_MAX = 4_294_967_295;

/** Undefined when it is malformed, or holds too much. Fields that are not known are passed over, as protobuf has it. */
export function readRlsRequest(bytes: Uint8Array): RlsRequest | undefined {
  let domain = '';
  let hitsAddend = 0;
  const descriptors: RlsDescriptor[] = [];
  const sound = visit(bytes, {
    1: (value) => {
      domain = text(value);
    },
    2: (value) => add(descriptors, readDescriptor(message(value))),
    3: (value) => {
      hitsAddend = uint32(value);
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
  const sound = visit(bytes, {
    1: (value) => {
      overallCode = whole(value);
    },
    2: (value) => add(statuses, readStatus(message(value))),
    3: (value) => add(responseHeaders, readHeader(message(value))),
    4: (value) => add(requestHeaders, readHeader(message(value))),
    5: (value) => {
      rawBody = message(value);
    },
  });
  return sound ? { overallCode, statuses, responseHeaders, requestHeaders, rawBody } : undefined;
}

/** What a field is not as it should be. Caught by `visit`. */
const MALFORMED = new Error('malformed');

type Readers = Readonly<Record<number, (value: WireValue) => void>>;

/** Reads the fields that there are readers for. False when one of them is not what it should be. */
function visit(bytes: Uint8Array, readers: Readers): boolean {
  try {
    return fields(bytes, (field, value) => {
      readers[field]?.(value);
      return true;
    });
  } catch (error) {
    if (error === MALFORMED) return false;
    throw error;
  }
}

function inside(bytes: Uint8Array, readers: Readers): void {
  if (!visit(bytes, readers)) throw MALFORMED;
}

function readDescriptor(bytes: Uint8Array): RlsDescriptor {
  const entries: RlsPair[] = [];
  let limit: { requestsPerUnit: number; unit: number } | undefined;
  let hitsAddend: number | undefined;
  inside(bytes, {
    1: (value) => add(entries, readPair(message(value))),
    2: (value) => {
      const found = limit ?? { requestsPerUnit: 0, unit: 0 };
      inside(message(value), {
        1: (inner) => {
          found.requestsPerUnit = uint32(inner);
        },
        2: (inner) => {
          found.unit = whole(inner);
        },
      });
      limit = found;
    },
    3: (value) => {
      hitsAddend ??= 0;
      inside(message(value), {
        1: (inner) => {
          hitsAddend = whole(inner);
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
  inside(bytes, {
    1: (value) => {
      code = whole(value);
    },
    2: (value) => {
      const found = currentLimit ?? { name: '', requestsPerUnit: 0, unit: 0 };
      inside(message(value), {
        1: (inner) => {
          found.requestsPerUnit = uint32(inner);
        },
        2: (inner) => {
          found.unit = whole(inner);
        },
        3: (inner) => {
          found.name = text(inner);
        },
      });
      currentLimit = found;
    },
    3: (value) => {
      limitRemaining = uint32(value);
    },
    4: (value) => {
      let seconds = 0;
      let nanos = 0;
      inside(message(value), {
        1: (inner) => {
          seconds = whole(inner);
        },
        2: (inner) => {
          nanos = whole(inner);
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
  inside(bytes, {
    1: (inner) => {
      key = text(inner);
    },
    2: (inner) => {
      value = text(inner);
    },
  });
  return [key, value];
}

/** `HeaderValue`: `raw_value` is the value where it is no UTF-8, or the sender will not promise that it is. */
function readHeader(bytes: Uint8Array): RlsPair {
  let key = '';
  let value = '';
  inside(bytes, {
    1: (inner) => {
      key = text(inner);
    },
    2: (inner) => {
      value = text(inner);
    },
    3: (inner) => {
      const raw = message(inner);
      if (raw.byteLength > 0) value = Buffer.from(raw.buffer, raw.byteOffset, raw.byteLength).toString('latin1');
    },
  });
  return [key, value];
}

function add<T>(list: T[], item: T): void {
  if (list.length >= MAX_ITEMS) throw MALFORMED;
  list.push(item);
}

function message(value: WireValue): Uint8Array {
  if (value.kind !== BYTES) throw MALFORMED;
  return value.bytes;
}

const strict = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

function text(value: WireValue): string {
  const bytes = message(value);
  try {
    return strict.decode(bytes);
  } catch {
    throw MALFORMED;
  }
}

/** A number that has a meaning here is a number that JavaScript can hold. */
function whole(value: WireValue): number {
  if (value.kind !== VARINT || !Number.isSafeInteger(value.varint)) throw MALFORMED;
  return value.varint;
}

/** What is longer on the wire loses its upper bits, as protobuf has it; a sender of such numbers means none of them. */
function uint32(value: WireValue): number {
  const number = whole(value);
  if (number > UINT32_MAX) throw MALFORMED;
  return number;
}
