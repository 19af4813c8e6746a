import type { HeaderFields } from '../../core/headers.js';
import { bytesField, textField, wholeField } from '../../core/wire-write.js';
import type { CheckSubject } from './verdict.js';

/** The one method of `envoy.service.auth.v3.Authorization`. */
export const CHECK_METHOD = '/envoy.service.auth.v3.Authorization/Check';

type Endpoint = NonNullable<CheckSubject['source']>;

/** `envoy.service.auth.v3.CheckRequest`; field numbers of external_auth.proto and attribute_context.proto. `headers`: those that it is shown. */
export function writeCheckRequest(subject: CheckSubject, headers: HeaderFields, asBytes: boolean): Uint8Array {
  const attributes = [
    bytesField(1, peer(subject.source, subject.principal)),
    bytesField(2, peer(subject.destination, subject.ownPrincipal)),
    bytesField(
      4,
      Buffer.concat([bytesField(1, timestamp(subject.at)), bytesField(2, http(subject, headers, asBytes))]),
    ),
    ...Object.entries(subject.context).map((entry) => bytesField(10, pair(...entry))),
  ];
  return bytesField(1, Buffer.concat(attributes));
}

/** `AttributeContext.Peer`. */
const peer = (at: Endpoint | undefined, principal: string | undefined): Uint8Array =>
  Buffer.concat([
    ...(at === undefined ? [] : [bytesField(1, bytesField(1, socketAddress(at)))]),
    textField(4, principal ?? ''),
  ]);

const socketAddress = ({ address, port }: Endpoint): Uint8Array =>
  Buffer.concat([textField(2, address), wholeField(3, port)]);

function timestamp(ms: number): Uint8Array {
  const seconds = Math.floor(ms / 1_000);
  return Buffer.concat([wholeField(1, seconds), wholeField(2, Math.floor((ms - seconds * 1_000) * 1e6))]);
}

/** `AttributeContext.HttpRequest`. Pseudo-headers are among the headers, as Envoy has them. */
function http(subject: CheckSubject, headers: HeaderFields, asBytes: boolean): Uint8Array {
  const { method, path, host, scheme, body } = subject;
  const all: readonly (readonly [string, string])[] = [
    [':method', method],
    [':path', path],
    [':authority', host],
    [':scheme', scheme],
    ...Object.keys(headers).map((name) => [name, String(headers[name])] as const),
    ...(body === undefined ? [] : [['x-envoy-auth-partial-body', String(body.partial)] as const]),
  ];
  return Buffer.concat([
    textField(1, headers['x-request-id'] === undefined ? '' : String(headers['x-request-id'])),
    textField(2, method),
    ...all.map((entry) => bytesField(3, pair(...entry))),
    textField(4, path),
    textField(5, host),
    textField(6, scheme),
    wholeField(9, body?.bytes.byteLength ?? 0),
    textField(10, subject.protocol),
    ...(body === undefined ? [] : [bytesField(asBytes ? 12 : 11, asBytes ? body.bytes : validUtf8(body.bytes))]),
  ]);
}

/** A proto string must be UTF-8 (Envoy replaces what is not). */
const validUtf8 = (bytes: Uint8Array): Uint8Array => Buffer.from(Buffer.from(bytes).toString('utf8'), 'utf8');

const pair = (key: string, value: string): Uint8Array => Buffer.concat([textField(1, key), textField(2, value)]);
