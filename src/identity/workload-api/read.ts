import { FIXED64, type WireValue } from '../../core/wire-fields.js';
import { addEntry, addItem, bytesOf, malformed, readFields, readInner, textOf, wholeOf } from '../../core/wire-read.js';
import type { JwtSvidEntry, ValidatedJwt, X509BundlesResponse, X509SvidEntry, X509SvidResponse } from './messages.js';

/** Identities, bundles and CRLs of one message, each; a workload has a few. */
const MAX_ITEMS = 1_000;
/** Objects and lists within each other in the claims of a JWT. */
const MAX_DEPTH = 32;

const NOTHING: Uint8Array = new Uint8Array(0);

/*
 * Responses of the SPIFFE Workload API (workloadapi.proto). Undefined: malformed, too much, or without a field that must be there: "SHOULD report an error and
 * discard the message" (SPIFFE Workload API section 4.5).
 */

export function readX509Svids(bytes: Uint8Array): X509SvidResponse | undefined {
  const svids: X509SvidEntry[] = [];
  const crls: Uint8Array[] = [];
  const federatedBundles = new Map<string, Uint8Array>();
  const sound = readFields(bytes, {
    1: (value) => addItem(svids, readX509Svid(bytesOf(value)), MAX_ITEMS),
    2: (value) => addItem(crls, bytesOf(value), MAX_ITEMS),
    3: (value) => addEntry(federatedBundles, bytesOf(value), NOTHING, bytesOf, MAX_ITEMS),
  });
  return sound && svids.length > 0 ? { svids, crls, federatedBundles } : undefined;
}

function readX509Svid(bytes: Uint8Array): X509SvidEntry {
  const found = { spiffeId: '', chain: NOTHING, key: NOTHING, bundle: NOTHING, hint: '' };
  readInner(bytes, {
    1: (value) => {
      found.spiffeId = textOf(value);
    },
    2: (value) => {
      found.chain = bytesOf(value);
    },
    3: (value) => {
      found.key = bytesOf(value);
    },
    4: (value) => {
      found.bundle = bytesOf(value);
    },
    5: (value) => {
      found.hint = textOf(value);
    },
  });
  const { spiffeId, chain, key, bundle } = found;
  if (spiffeId === '' || chain.length === 0 || key.length === 0 || bundle.length === 0) malformed();
  return found;
}

export function readX509Bundles(bytes: Uint8Array): X509BundlesResponse | undefined {
  const crls: Uint8Array[] = [];
  const bundles = new Map<string, Uint8Array>();
  const sound = readFields(bytes, {
    1: (value) => addItem(crls, bytesOf(value), MAX_ITEMS),
    2: (value) => addEntry(bundles, bytesOf(value), NOTHING, bytesOf, MAX_ITEMS),
  });
  return sound && bundles.size > 0 ? { crls, bundles } : undefined;
}

export function readJwtSvids(bytes: Uint8Array): readonly JwtSvidEntry[] | undefined {
  const svids: JwtSvidEntry[] = [];
  const sound = readFields(bytes, { 1: (value) => addItem(svids, readJwtSvid(bytesOf(value)), MAX_ITEMS) });
  return sound && svids.length > 0 ? svids : undefined;
}

function readJwtSvid(bytes: Uint8Array): JwtSvidEntry {
  const found = { spiffeId: '', token: '', hint: '' };
  readInner(bytes, {
    1: (value) => {
      found.spiffeId = textOf(value);
    },
    2: (value) => {
      found.token = textOf(value);
    },
    3: (value) => {
      found.hint = textOf(value);
    },
  });
  if (found.spiffeId === '' || found.token === '') malformed();
  return found;
}

/** JWK sets as text, by SPIFFE ID of the trust domain. */
export function readJwtBundles(bytes: Uint8Array): ReadonlyMap<string, string> | undefined {
  const bundles = new Map<string, string>();
  const sound = readFields(bytes, { 1: (value) => addEntry(bundles, bytesOf(value), '', textOf, MAX_ITEMS) });
  return sound && bundles.size > 0 ? bundles : undefined;
}

export function readValidatedJwt(bytes: Uint8Array): ValidatedJwt | undefined {
  let spiffeId = '';
  let claims: Readonly<Record<string, unknown>> | undefined;
  const sound = readFields(bytes, {
    1: (value) => {
      spiffeId = textOf(value);
    },
    2: (value) => {
      claims = readStruct(bytesOf(value), 0);
    },
  });
  return sound && spiffeId !== '' && claims !== undefined ? { spiffeId, claims } : undefined;
}

/** `google.protobuf.Struct`. A key such as `__proto__` is a key like any other. */
function readStruct(bytes: Uint8Array, depth: number): Readonly<Record<string, unknown>> {
  const map = new Map<string, unknown>();
  readInner(bytes, {
    1: (value) =>
      addEntry<unknown>(map, bytesOf(value), null, (inner) => readValue(bytesOf(inner), depth + 1), MAX_ITEMS),
  });
  return Object.fromEntries(map);
}

function readValue(bytes: Uint8Array, depth: number): unknown {
  if (depth > MAX_DEPTH) malformed();
  let found: unknown = null;
  readInner(bytes, {
    1: () => {
      found = null;
    },
    2: (value) => {
      found = numberOf(value);
    },
    3: (value) => {
      found = textOf(value);
    },
    4: (value) => {
      found = wholeOf(value) !== 0;
    },
    5: (value) => {
      found = readStruct(bytesOf(value), depth);
    },
    6: (value) => {
      const list: unknown[] = [];
      readInner(bytesOf(value), {
        1: (item) => addItem(list, readValue(bytesOf(item), depth + 1), MAX_ITEMS),
      });
      found = list;
    },
  });
  return found;
}

function numberOf(value: WireValue): number {
  return value.kind === FIXED64 ? value.double : malformed();
}
