import type { Resource } from '../../../src/core/resources.js';
import type { Chance } from './generate.js';

const ACTIONS = [
  'APPEND_IF_EXISTS_OR_ADD',
  'ADD_IF_ABSENT',
  'OVERWRITE_IF_EXISTS_OR_ADD',
  'OVERWRITE_IF_EXISTS',
] as const;

/** Formats whose values are the same whoever fills them in. */
const REQUEST_FORMATS = [
  'plain',
  '',
  '100%%',
  '%REQ(x-a)%',
  '<%REQ(x-absent?x-b)%>',
  '%REQ(x-a):3%',
  '%REQ(x-absent)%',
  '%REQ(:path)%',
  '%REQ(:method)%',
  '%PATH(WQ)%',
  '%QUERY_PARAM(q)%',
  '%PROTOCOL%',
  '%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%',
  '%ROUTE_NAME%',
  '%UPSTREAM_CLUSTER%',
  '%UPSTREAM_REQUEST_ATTEMPT_COUNT%',
  'code=%RESPONSE_CODE%',
  '%START_TIME(%Y)%',
] as const;
const RESPONSE_FORMATS = [
  // For a redirect Envoy rewrites the path of the request, and the formats of the reply see that one.
  ...REQUEST_FORMATS.filter((format) => !format.includes('path') && !format.includes('PATH')),
  '%RESP(x-reply)%',
  '%RESP(x-absent?x-other)%',
  '%RESP(x-reply):2%',
  'flags=%RESPONSE_FLAGS%',
  '%UPSTREAM_REMOTE_ADDRESS%',
] as const;

/** `*_headers_to_add` and `*_headers_to_remove` of one level, for requests and replies; most levels have none. */
export function headerChanges(chance: Chance, outOf: number): Resource {
  const add = (formats: readonly string[], names: readonly string[]): Resource[] =>
    chance.some(1, 3, () => ({
      header: { key: chance.pick(names), value: chance.pick(formats) },
      append_action: chance.pick(ACTIONS),
      ...chance.maybe(4, () => ({ keep_empty_value: true })),
    }));
  const request = ['x-a', 'x-b', 'x-new', 'X-Mixed', 'accept'];
  const response = ['x-reply', 'x-other', 'x-new', 'vary'];
  return {
    ...chance.maybe(outOf, () => ({ request_headers_to_add: add(REQUEST_FORMATS, request) })),
    ...chance.maybe(outOf * 2, () => ({ request_headers_to_remove: chance.distinct(request, 1 + chance.int(2)) })),
    ...chance.maybe(outOf, () => ({ response_headers_to_add: add(RESPONSE_FORMATS, response) })),
    ...chance.maybe(outOf * 2, () => ({ response_headers_to_remove: chance.distinct(response, 1 + chance.int(2)) })),
  };
}
