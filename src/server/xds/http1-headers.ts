import type { IncomingMessage, OutgoingHttpHeader, OutgoingHttpHeaders, ServerResponse } from 'node:http';
import { headerFields } from '../../core/headers.js';
import { allFields, changeFields, type HeaderChanges, valuesOf, written } from './header-changes.js';

/** Before the application sees the request: its headers are changed in every form in which Node offers them. */
export function changeRequest(request: IncomingMessage, changes: HeaderChanges): void {
  // Read first: Node makes them of as many raw headers as there were.
  const { headers, headersDistinct } = request;
  const changed = changeFields(headers, request.rawHeaders, changes);
  for (const name of changes.names) {
    const values = valuesOf(changed, name);
    if (values.length === 0) delete headersDistinct[name];
    else headersDistinct[name] = values;
  }
}

type GivenHeaders = OutgoingHttpHeaders | readonly OutgoingHttpHeader[] | readonly (readonly OutgoingHttpHeader[])[];

/**
 * Once, when the head is written, be it by the application or by Node for it. By a `writeHead` of the response's own, which Node calls too
 * when the first byte of the body comes before a head.
 */
export function changeResponse(response: ServerResponse, changes: HeaderChanges): void {
  const before = response.writeHead;
  let changed = false;
  const writeHead = (status: number, ...rest: unknown[]): ServerResponse => {
    // Node says what is wrong with a second head.
    if (response.headersSent || changed) return Reflect.apply(before, response, [status, ...rest]);
    const reason = typeof rest[0] === 'string' ? rest[0] : undefined;
    const given = (typeof rest[0] === 'object' && rest[0] !== null ? rest[0] : rest[1]) as GivenHeaders | undefined;
    for (const [name, value] of given === undefined ? [] : entries(given)) response.setHeader(name, value);
    change(response, status, changes);
    changed = true;
    return Reflect.apply(before, response, reason === undefined ? [status] : [status, reason]);
  };
  response.writeHead = writeHead as typeof response.writeHead;
}

function change(response: ServerResponse, status: number, changes: HeaderChanges): void {
  const { names } = changes;
  const fields = headerFields();
  for (const name of names) {
    const value = response.getHeader(name);
    if (value !== undefined) fields[name] = typeof value === 'number' ? String(value) : value;
  }
  changes.apply(fields, {
    status,
    // Formats may ask for any field (`%RESP(x)%`); most ask for none.
    get headers() {
      return allFields(response.getHeaders());
    },
  });
  for (const name of names) {
    const value = written(fields, name);
    if (value === undefined) response.removeHeader(name);
    else response.setHeader(name, value);
  }
}

/** What `writeHead` may be given: an object, a flat list of names and values, or pairs. Each name once, with all its values. */
function entries(given: GivenHeaders): Iterable<[string, number | string | readonly string[]]> {
  if (!Array.isArray(given)) {
    return Object.entries(given as OutgoingHttpHeaders).filter(
      (entry): entry is [string, OutgoingHttpHeader] => entry[1] !== undefined,
    );
  }
  const flat = (given as readonly (OutgoingHttpHeader | readonly OutgoingHttpHeader[])[]).flat(
    Array.isArray(given[0]) ? 1 : 0,
  );
  const byName = new Map<string, number | string | readonly string[]>();
  for (let i = 0; i + 1 < flat.length; i += 2) {
    const name = String(flat[i]).toLowerCase();
    const value = flat[i + 1] as OutgoingHttpHeader;
    const present = byName.get(name);
    byName.set(name, present === undefined ? value : [present, value].flat().map(String));
  }
  return byName;
}
