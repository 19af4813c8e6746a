import type { Path, Report } from '../problem.js';
import type { SessionSpec } from '../schema/session.js';
import { between } from './bounds.js';

const MAX_LIFE_MS = 400 * 24 * 3_600_000;

export function checkSession(session: SessionSpec | undefined, at: Path, report: Report): void {
  if (session === undefined) return;
  const { type, absoluteTimeout, cookieConfig } = session;
  const permanent = cookieConfig?.lifetimeType === 'Permanent';
  if (type === 'Header' && cookieConfig !== undefined)
    report([...at, 'cookieConfig'], 'belongs to type Cookie: remove it');
  // "required if CookieConfig.LifetimeType is Permanent" - SessionPersistence.
  if (type === 'Cookie' && permanent && absoluteTimeout === undefined)
    report([...at, 'absoluteTimeout'], 'is missing: lifetimeType Permanent needs it');
  // What carries the session is the caller's, and nothing else remembers when it began.
  if (absoluteTimeout !== undefined && !permanent)
    report([...at, 'absoluteTimeout'], 'needs a cookie with "lifetimeType: Permanent", which is what ends it');
  // RFC 6265bis: cookies live 400 days at most.
  else between(report, [...at, 'absoluteTimeout'], absoluteTimeout, 1_000, MAX_LIFE_MS);
}
