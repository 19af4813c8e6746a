import * as v from 'valibot';
import { ASYMMETRIC_ALGORITHMS, SYMMETRIC_ALGORITHMS } from '../../../core/model/authentication.js';
import { about, duration, headerName, listOf, oneOf, pattern, text } from './fields.js';

const url = pattern(/^https?:\/\/[^\s/?#@]+(?:[/?][^\s#]*)?$/, 'an http or https URL');

/** One issuer. Names are those of Istio's `JWTRule`, where it has the concept. */
const jwtRule = v.strictObject({
  issuer: about(text(1, 2_048), 'What `iss` must be, to the letter.'),
  audiences: about(
    v.optional(listOf(text(1, 2_048), 1, 64), undefined),
    '`aud` must have one of these. Default: any, which has tokens work that were issued for somebody else.',
  ),
  jwksUri: about(v.optional(url), 'Where the keys are (a JWKS, RFC 7517). Asked for by the mesh, with its policies.'),
  jwks: about(v.optional(text(1, 262_144)), 'The keys themselves, as JSON.'),
  jwksFile: about(v.optional(text(1, 4_096)), 'A file of the server that has the keys; read again when they are old.'),
  algorithms: about(
    v.optional(listOf(oneOf([...ASYMMETRIC_ALGORITHMS, ...SYMMETRIC_ALGORITHMS]), 1, 13)),
    'Signatures that will do. Default: all with a key pair; `HS256` and its like, with a shared secret, only where they are named.',
  ),
  fromHeaders: about(
    v.optional(
      listOf(
        v.strictObject({
          name: about(headerName, 'Name of the header.'),
          prefix: about(v.optional(text(0, 64), ''), 'What stands before the token, with its space. Default: nothing.'),
        }),
        1,
        8,
      ),
    ),
    'Headers that tokens come in. Default, where no place is named: `Authorization: Bearer`, and the parameter access_token.',
  ),
  fromParams: about(v.optional(listOf(text(1, 256), 1, 8)), 'Parameters of the query that tokens come in.'),
  fromCookies: about(v.optional(listOf(text(1, 256), 1, 8)), 'Cookies that tokens come in.'),
  forwardOriginalToken: about(
    v.optional(v.boolean(), false),
    'The application sees the header, cookie or parameter that the token came in. Default false (Istio).',
  ),
  outputPayloadToHeader: about(
    v.optional(headerName),
    'The application is handed the payload in this header, in base64url.',
  ),
  outputClaimToHeaders: about(
    v.optional(
      listOf(
        v.strictObject({
          header: about(headerName, 'Name of the header; what a client sends under it is taken away.'),
          claim: about(text(1, 256), 'Name of the claim; `org.name` leads into an object.'),
        }),
        1,
        32,
      ),
    ),
    'The application is handed claims in headers.',
  ),
  clockSkew: about(
    v.optional(duration, '60s'),
    'How far clocks may be apart, 1s to 1h, in whole seconds. Default 60s (Envoy).',
  ),
  requireExpiration: about(v.optional(v.boolean(), true), 'A token without `exp` is refused. Default true.'),
  maxLifetime: about(
    v.optional(duration),
    'A token that is good for longer than this is refused. Default: as long as it likes.',
  ),
  timeout: about(v.optional(duration, '5s'), 'Of one fetch of the keys, 1ms to 1m. Default 5s (Istio).'),
  cacheDuration: about(
    v.optional(duration, '5m'),
    'Keys are fetched again when they are used and this old. Default 5m (Envoy).',
  ),
  keepDuration: about(
    v.optional(duration, '24h'),
    'While the keys cannot be fetched, the last good ones hold for so long; then every token is refused. Default 24h.',
  ),
});

export const jwt = about(
  v.optional(listOf(jwtRule, 1, 16)),
  'Tokens of end users (JWT), by their issuers (Istio `RequestAuthentication`). Of several policies the most specific counts, whole.',
);

export const jwtRequirement = about(
  v.optional(oneOf(['required', 'optional', 'any'])),
  '`required`: no request without a good token; `optional`: none will do, one that is not good will not (Istio); `any`: a good one is used, whatever else comes. Default required.',
);

export type JwtRule = v.InferOutput<typeof jwtRule>;
