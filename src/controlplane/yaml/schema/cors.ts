import * as v from 'valibot';
import { about, headerName, integer, listOf, oneOf, pattern } from './fields.js';

/** `scheme://host:port`, whose host may begin with `*.`, or `*`. */
const origin = pattern(
  /^(\*|[A-Za-z][A-Za-z0-9+.-]*:\/\/(\*|(\*\.)?[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*|\[[0-9A-Fa-f:]+\])(:[0-9]{1,5})?)$/,
  'an origin such as https://shop.example, https://*.shop.example or "*"',
);

const METHODS = ['*', 'GET', 'HEAD', 'POST', 'PUT', 'DELETE', 'CONNECT', 'OPTIONS', 'TRACE', 'PATCH'] as const;

/** Gateway API `HTTPCORSFilter` (GEP-1767). */
export const cors = v.strictObject({
  allowOrigins: about(
    v.optional(listOf(origin, 0, 64), []),
    'Origins whose pages may read replies; a host may begin with `*.`, which stands for one or more labels. Default: none.',
  ),
  allowCredentials: about(v.optional(v.boolean(), false), 'Whether with cookies and authorization. Default false.'),
  allowMethods: about(v.optional(listOf(oneOf(METHODS), 0, 9)), 'Methods, or `*`. Default: the simple ones.'),
  allowHeaders: about(v.optional(listOf(headerName, 0, 64)), 'Request headers, or `*`. Default: the simple ones.'),
  exposeHeaders: about(v.optional(listOf(headerName, 0, 64)), 'Headers of replies that pages may read, or `*`.'),
  maxAge: about(
    v.optional(integer(1, 2_147_483_647), 5),
    'Seconds for which a browser may remember the answer. Default 5.',
  ),
});

export type CorsSpec = v.InferOutput<typeof cors>;
