import type { OutgoingHttpHeaders, ServerHttp2Stream } from 'node:http2';
import { type HeaderFields, headerFields } from '../../core/headers.js';
import { allFields, type HeaderChanges, written } from './header-changes.js';

/** Whatever way the application takes to respond, through node:http's interface or on the stream itself. */
export function changeResponse(stream: ServerHttp2Stream, changes: HeaderChanges): void {
  const { respond, respondWithFD, respondWithFile } = stream;
  stream.respond = (headers, options) => respond.call(stream, changed(headers, changes), options);
  stream.respondWithFD = (file, headers, options) =>
    respondWithFD.call(stream, file, changed(headers, changes), options);
  stream.respondWithFile = (path, headers, options) =>
    respondWithFile.call(stream, path, changed(headers, changes), options);
}

/** A copy; symbols, by which Node knows fields not to be compressed, go along. */
function changed(given: OutgoingHttpHeaders = {}, changes: HeaderChanges): OutgoingHttpHeaders {
  const { names } = changes;
  const headers: OutgoingHttpHeaders = { ...given };
  const fields: HeaderFields = headerFields();
  for (const key of Object.keys(headers)) {
    const name = key.toLowerCase();
    const value = headers[key];
    if (!names.has(name) || value === undefined) continue;
    fields[name] = typeof value === 'number' ? String(value) : value;
    delete headers[key];
  }
  changes.apply(fields, {
    status: Number(given[':status'] ?? 200),
    get headers() {
      return allFields(given);
    },
  });
  for (const name of names) {
    const value = written(fields, name);
    if (value !== undefined) headers[name] = value;
  }
  return headers;
}
