import type { Path, Report } from '../problem.js';
import type { FallbackSpec } from '../schema/fallback.js';
import { between, DAY_MS } from './bounds.js';
import { checkPlain } from './plain.js';
import { checkBackendKind } from './route.js';

const KINDS = ['service', 'stale', 'static', 'function'] as const;
const BODIES = ['body', 'json', 'bodyBase64'] as const;
/** Bytes of a body: it is part of the configuration of every client. */
const MAX_BODY_BYTES = 65_536;

export function checkFallbacks(fallbacks: readonly FallbackSpec[], at: Path, report: Report): void {
  fallbacks.forEach((fallback, index) => {
    checkFallback(fallback, [...at, index], report);
  });
}

function checkFallback(fallback: FallbackSpec, at: Path, report: Report): void {
  const given = KINDS.filter((kind) => fallback[kind] !== undefined);
  if (given.length === 0) report(at, `must have one of ${KINDS.join(', ')}`, { expected: KINDS.join(', ') });
  for (const kind of given.slice(1))
    report([...at, kind], `cannot be combined with ${given[0]}: make two entries of them, in order`);
  if (fallback.service !== undefined) checkBackendKind(fallback.service, [...at, 'service', 'kind'], report);
  between(report, [...at, 'stale', 'maxAge'], fallback.stale?.maxAge, 1, 30 * DAY_MS);
  if (fallback.static !== undefined) checkStatic(fallback.static, [...at, 'static'], report);
}

function checkStatic(reply: NonNullable<FallbackSpec['static']>, at: Path, report: Report): void {
  const [body, ...others] = BODIES.filter((field) => reply[field] !== undefined);
  for (const other of others) report([...at, other], `cannot be combined with ${body}: keep one of them`);
  reply.headers?.forEach(({ value }, index) => {
    // RFC 9110 section 5.5; Node refuses to send anything else.
    if (!/^[\t\x20-\x7e\x80-\xff]*$/.test(value))
      report([...at, 'headers', index, 'value'], 'must be Latin-1 text without control characters');
  });
  if (
    reply.bodyBase64 !== undefined &&
    !/^([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/.test(reply.bodyBase64)
  )
    report([...at, 'bodyBase64'], 'must be base64, such as CgVoZWxsbw==', { expected: 'base64' });
  checkPlain(reply.json, [...at, 'json'], report);
  const length = body === 'bodyBase64' ? (reply.bodyBase64?.length ?? 0) * 0.75 : Buffer.byteLength(bodyText(reply));
  if (body !== undefined && length > MAX_BODY_BYTES)
    report([...at, body], `must be at most ${MAX_BODY_BYTES} bytes, got ${Math.ceil(length)}`);
}

/** What a body that is text comes to. */
export const bodyText = ({ body, json }: NonNullable<FallbackSpec['static']>): string =>
  json === undefined ? (body ?? '') : JSON.stringify(json);
