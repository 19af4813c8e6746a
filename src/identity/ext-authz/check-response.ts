import { headerFields } from '../../core/headers.js';
import { BYTES, fields, VARINT, type WireValue } from '../../core/wire-fields.js';
import { addChange, isChangeable } from './header-rules.js';
import type { CheckVerdict } from './verdict.js';

/** "If not set … 403" - DeniedHttpResponse; and where a status makes no refusal. */
const FORBIDDEN = 403;
/** `HeaderAppendAction`. */
const ADD_IF_ABSENT = 1;
/** Headers that an answer may change. */
const MAX_CHANGES = 256;

type Allowed = Extract<CheckVerdict, { readonly kind: 'allowed' }>;

/** `envoy.service.auth.v3.CheckResponse`; field numbers of external_auth.proto. Undefined: the bytes are no such message. */
export function readCheckResponse(bytes: Uint8Array): CheckVerdict | undefined {
  let code = 0;
  let denied: Uint8Array | undefined;
  let ok: Uint8Array | undefined;
  const whole = fields(bytes, (field, value) => {
    if (value.kind !== BYTES) return true;
    if (field === 1) code = firstNumber(value.bytes) ?? -1;
    // The last one of a oneof counts.
    if (field === 2) [denied, ok] = [value.bytes, undefined];
    if (field === 3) [denied, ok] = [undefined, value.bytes];
    return true;
  });
  if (!whole) return undefined;
  // "the status field … OK (0) … request is allowed" - external_auth.proto: a status that is not decides, whatever else is said.
  if (code !== 0) return refusal(denied ?? new Uint8Array(0));
  return denied === undefined ? permission(ok ?? new Uint8Array(0)) : refusal(denied);
}

function permission(bytes: Uint8Array): Allowed | undefined {
  const found = {
    kind: 'allowed' as const,
    set: headerFields(),
    append: headerFields(),
    addIfAbsent: headerFields(),
    reply: headerFields(),
  };
  const remove: string[] = [];
  let changes = 0;
  const whole = fields(bytes, (field, value) => {
    if (value.kind !== BYTES || ++changes > MAX_CHANGES) return value.kind !== BYTES;
    if (field === 5) {
      const name = text(value.bytes).toLowerCase();
      if (isChangeable(name)) remove.push(name);
      return true;
    }
    if (field !== 2 && field !== 6) return true;
    const option = headerOption(value.bytes);
    if (option === undefined) return false;
    const { name, append, action } = option;
    const into =
      field === 6 ? found.reply : append ? found.append : action === ADD_IF_ABSENT ? found.addIfAbsent : found.set;
    addChange(into, name, option.value);
    return true;
  });
  return whole ? { ...found, remove } : undefined;
}

function refusal(bytes: Uint8Array): CheckVerdict | undefined {
  let status = FORBIDDEN;
  let body: Uint8Array = new Uint8Array(0);
  const headers = headerFields();
  let changes = 0;
  const whole = fields(bytes, (field, value) => {
    if (value.kind !== BYTES || ++changes > MAX_CHANGES) return value.kind !== BYTES;
    if (field === 1) status = firstNumber(value.bytes) ?? FORBIDDEN;
    if (field === 3) body = value.bytes;
    if (field !== 2) return true;
    const option = headerOption(value.bytes);
    if (option !== undefined) addChange(headers, option.name, option.value);
    return option !== undefined;
  });
  if (!whole) return undefined;
  return {
    kind: 'denied',
    status: status >= 200 && status <= 599 && Number.isInteger(status) ? status : FORBIDDEN,
    headers,
    body,
  };
}

interface HeaderOption {
  readonly name: string;
  readonly value: string;
  readonly append: boolean;
  readonly action: number;
}

/** `core.v3.HeaderValueOption`. `append` is deprecated, and still what services set; without it, and without an action, values are set. */
function headerOption(bytes: Uint8Array): HeaderOption | undefined {
  let name = '';
  let value = '';
  let append = false;
  let action = 0;
  const whole = fields(bytes, (field, it) => {
    if (field === 3) action = number(it);
    if (it.kind !== BYTES) return true;
    if (field === 2) append = firstNumber(it.bytes) === 1;
    if (field !== 1) return true;
    return fields(it.bytes, (inner, part) => {
      if (part.kind !== BYTES) return true;
      if (inner === 1) name = text(part.bytes);
      // `value`, or `raw_value` where it is no UTF-8.
      else if (inner === 2) value = text(part.bytes);
      else if (inner === 3) value = Buffer.from(part.bytes).toString('latin1');
      return true;
    });
  });
  return whole ? { name, value, append, action } : undefined;
}

/** Field 1, a number: of a wrapper, a status. 0 where it is not set; undefined: the bytes are no message. */
function firstNumber(bytes: Uint8Array): number | undefined {
  let found = 0;
  const whole = fields(bytes, (field, value) => {
    if (field === 1) found = number(value);
    return true;
  });
  return whole ? found : undefined;
}

const number = (value: WireValue): number => (value.kind === VARINT ? value.varint : 0);
const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString('utf8');
