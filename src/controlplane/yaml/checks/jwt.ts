import type { Report } from '../problem.js';
import type { AuthenticationPolicySpec } from '../schema/authentication-policy.js';
import { between } from './bounds.js';

const SECOND = 1_000;
const HOUR = 3_600_000;
const YEAR = 31_536_000_000;

/** What the fields of `jwt` ask of each other. */
export function checkJwt({ jwt, jwtRequirement }: AuthenticationPolicySpec, report: Report): void {
  if (jwt === undefined) {
    if (jwtRequirement !== undefined)
      report(['spec', 'jwtRequirement'], 'asks for tokens, and there is no jwt that says whose', { expected: 'jwt' });
    return;
  }
  jwt.forEach((rule, index) => {
    const at = ['spec', 'jwt', index];
    const sources = [rule.jwksUri, rule.jwks, rule.jwksFile].filter((source) => source !== undefined);
    if (sources.length !== 1)
      report(at, `must have one of jwksUri, jwks, jwksFile, and has ${sources.length}`, {
        expected: 'jwksUri, jwks, jwksFile',
      });
    if (rule.jwks !== undefined && !hasKeys(rule.jwks))
      report([...at, 'jwks'], 'must be a JWKS: JSON with a list "keys" (RFC 7517)');
    between(report, [...at, 'clockSkew'], rule.clockSkew, SECOND, HOUR);
    if (rule.clockSkew % SECOND !== 0) report([...at, 'clockSkew'], 'must be whole seconds');
    between(report, [...at, 'timeout'], rule.timeout, 1, 60_000);
    between(report, [...at, 'cacheDuration'], rule.cacheDuration, 1, YEAR);
    between(report, [...at, 'keepDuration'], rule.keepDuration, 1, YEAR);
    if (rule.keepDuration < rule.cacheDuration)
      report(
        [...at, 'keepDuration'],
        'must not be less than cacheDuration: keys would be void before they are fetched again',
      );
  });
}

function hasKeys(text: string): boolean {
  try {
    return Array.isArray((JSON.parse(text) as { keys?: unknown } | null)?.keys);
  } catch {
    return false;
  }
}
