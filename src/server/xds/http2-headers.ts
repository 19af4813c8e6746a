import type { OutgoingHttpHeaders, ServerHttp2Stream } from 'node:http2';
import { type HeaderFields, headerFields } from '../../core/headers.js';
import type { HeaderMutation } from '../../core/model/route.js';
import { mutateHeaders } from '../../routing/header-mutation.js';
import { namesOf, written } from './header-changes.js';

/** Whatever way the application takes to respond, through node:http's interface or on the stream itself. */
export function changeResponse(stream: ServerHttp2Stream, mutation: HeaderMutation): void {
  const { respond, respondWithFD, respondWithFile } = stream;
  stream.respond = (headers, options) => respond.call(stream, changed(headers, mutation), options);
  stream.respondWithFD = (file, headers, options) =>
    respondWithFD.call(stream, file, changed(headers, mutation), options);
  stream.respondWithFile = (path, headers, options) =>
    respondWithFile.call(stream, path, changed(headers, mutation), options);
}

/** A copy; symbols, by which Node knows fields not to be compressed, go along. */
function changed(given: OutgoingHttpHeaders = {}, mutation: HeaderMutation): OutgoingHttpHeaders {
  const names = namesOf(mutation);
  const headers: OutgoingHttpHeaders = { ...given };
  const fields: HeaderFields = headerFields();
  for (const key of Object.keys(headers)) {
    const name = key.toLowerCase();
    const value = headers[key];
    if (!names.has(name) || value === undefined) continue;
    fields[name] = typeof value === 'number' ? String(value) : value;
    delete headers[key];
  }
  mutateHeaders(fields, mutation);
  for (const name of names) {
    const value = written(fields, name);
    if (value !== undefined) headers[name] = value;
  }
  return headers;
}
