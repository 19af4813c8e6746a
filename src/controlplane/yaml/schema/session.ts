import * as v from 'valibot';
import { about, duration, later, oneOf } from './fields.js';
import { cookieName } from './load-balancer.js';

/** Gateway API `SessionPersistence` (GEP-1619): a caller stays with the endpoint that it was sent to first. */
export const sessionPersistence = v.strictObject({
  sessionName: about(
    v.optional(cookieName),
    'Name of the cookie or header. Default: made of the names of the resource and the rule.',
  ),
  type: about(v.optional(oneOf(['Cookie', 'Header']), 'Cookie'), 'What carries the session. Default Cookie.'),
  absoluteTimeout: about(v.optional(duration), 'Life of a cookie with lifetimeType Permanent, at least 1s.'),
  idleTimeout: later,
  cookieConfig: v.optional(
    v.strictObject({
      lifetimeType: about(
        v.optional(oneOf(['Session', 'Permanent']), 'Session'),
        'Session: until the browser closes. Permanent: for `absoluteTimeout`. Default Session.',
      ),
    }),
  ),
});

/** The same where it is our own field. */
export const strictSessionPersistence = v.strictObject({
  ...sessionPersistence.entries,
  strict: about(
    v.optional(v.boolean()),
    'A session whose endpoint is gone fails, in place of going to another (Envoy `strict`). Default false.',
  ),
});

export type SessionSpec = v.InferOutput<typeof strictSessionPersistence>;
