import { isHeaderName, isHeaderValue } from '../../core/header-syntax.js';
import { appendHeader, type HeaderFields, headerFields, headerValue, isHopByHop } from '../../core/headers.js';
import type { ExtAuthz } from '../../core/model/ext-authz.js';
import type { StringMatch } from '../../core/model/match.js';
import { stringTest } from '../../routing/match/strings.js';
import type { CheckSubject } from './verdict.js';

export type NameTest = (name: string) => boolean;

/** Whether any of these matches a header's name. */
export function anyOf(matches: readonly StringMatch[]): NameTest {
  const tests = matches.map(stringTest);
  return (name) => tests.some((test) => test(name));
}

/** Whether a service may set, or take away, a header: not those by which a message is read, nor what says where it goes (Envoy refuses Host and pseudo-headers too). */
export const isChangeable = (name: string): boolean =>
  isHeaderName(name) && !isHopByHop(name) && name !== 'content-length' && name !== 'host';

/** Adds one that a service names, where that may be. */
export function addChange(fields: HeaderFields, name: string, value: string): void {
  const lower = name.toLowerCase();
  if (isChangeable(lower) && isHeaderValue(value)) appendHeader(fields, lower, value);
}

/** What the service is shown of a request's headers. HTTP: `authorization` in any case, others by name; gRPC: all of them, unless some are named. */
export function shownHeaders(config: ExtAuthz): (subject: CheckSubject) => HeaderFields {
  const { allowedHeaders, disallowedHeaders, service } = config;
  const allowed = anyOf(allowedHeaders);
  const disallowed = anyOf(disallowedHeaders);
  const all = service.kind === 'grpc' && allowedHeaders.length === 0;
  return ({ headers }) => {
    const shown = headerFields();
    for (const name in headers) {
      if (isHopByHop(name) || disallowed(name)) continue;
      if (all || allowed(name) || (service.kind === 'http' && name === 'authorization'))
        shown[name] = headerValue(headers, name) as string;
    }
    return shown;
  };
}
