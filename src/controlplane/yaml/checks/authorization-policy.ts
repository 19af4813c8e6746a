import { isIP } from 'node:net';
import { canonicalPath } from '../../../identity/authz/path.js';
import type { Path, Report } from '../problem.js';
import type { AuthorizationPolicySpec, ConditionSpec, TimeSpec } from '../schema/authorization-policy.js';
import { checkTargets } from './limit.js';

export function checkAuthorizationPolicy(spec: AuthorizationPolicySpec, report: Report): void {
  checkTargets(spec.targetRefs ?? [], report);
  if (spec.rules.length === 0 && spec.action !== 'ALLOW')
    report(['spec', 'rules'], `must have one: ${spec.action} without rules does nothing`);
  spec.rules.forEach((rule, index) => {
    const at: Path = ['spec', 'rules', index];
    rule.from?.forEach((source, i) => {
      const here = [...at, 'from', i];
      notEmpty(source, here, 'a caller', report);
      for (const field of [
        'principals',
        'notPrincipals',
        'namespaces',
        'notNamespaces',
        'requestPrincipals',
        'notRequestPrincipals',
      ] as const)
        checkWildcards(source[field], [...here, field], report);
      for (const field of ['principals', 'notPrincipals'] as const)
        checkPrincipals(source[field], [...here, field], report);
      for (const field of ['ipBlocks', 'notIpBlocks', 'remoteIpBlocks', 'notRemoteIpBlocks'] as const)
        checkBlocks(source[field], [...here, field], report);
    });
    rule.to?.forEach((operation, i) => {
      const here = [...at, 'to', i];
      notEmpty(operation, here, 'a request', report);
      for (const field of ['hosts', 'notHosts', 'methods', 'notMethods'] as const)
        checkWildcards(operation[field], [...here, field], report);
      for (const field of ['paths', 'notPaths'] as const) checkPaths(operation[field], [...here, field], report);
    });
    rule.when?.forEach((condition, i) => {
      checkCondition(condition, [...at, 'when', i], report);
    });
    rule.time?.forEach((time, i) => {
      checkTime(time, [...at, 'time', i], report);
    });
  });
}

function notEmpty(of: object, at: Path, what: string, report: Report): void {
  if (Object.values(of).every((value) => value === undefined))
    report(at, `says nothing of ${what}, and so means all: remove it, or say something`);
}

function checkWildcards(values: readonly string[] | undefined, at: Path, report: Report): void {
  values?.forEach((value, index) => {
    if (value === '*') return;
    const inner = value.replace(/^\*|\*$/, '');
    if (inner === '' || inner.includes('*'))
      report([...at, index], `must have one "*" at most, at the beginning or the end, got "${value}"`, {
        expected: 'one * at the beginning or the end',
      });
  });
}

/** A short name that no Service can have would be the SPIFFE ID of nobody. */
function checkPrincipals(values: readonly string[] | undefined, at: Path, report: Report): void {
  values?.forEach((value, index) => {
    if (/[/*]/.test(value) || SHORT_NAME.test(value)) return;
    const lower = value.toLowerCase();
    const remedy = SHORT_NAME.test(lower) ? `write "${lower}"` : 'write <trust domain>/ns/<namespace>/sa/<name>';
    report([...at, index], `"${value}" is neither the name of a Service nor a SPIFFE ID: ${remedy}`, {
      expected: 'the name of a Service, or a SPIFFE ID',
    });
  });
}

const SHORT_NAME = /^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$/;

/** A path that is not canonical never comes, so that a rule for it does nothing. */
function checkPaths(values: readonly string[] | undefined, at: Path, report: Report): void {
  checkWildcards(values, at, report);
  values?.forEach((value, index) => {
    if (value.startsWith('*')) return;
    const bare = value.replace(/\*$/, '');
    const found = canonicalPath(bare);
    if ('path' in found && found.path === bare) return;
    const remedy = 'path' in found ? `write "${found.path}"` : 'such requests are refused anyway';
    report([...at, index], `"${value}" is no canonical path: ${remedy}`, { expected: 'a canonical path' });
  });
}

function checkBlocks(values: readonly string[] | undefined, at: Path, report: Report): void {
  values?.forEach((value, index) => {
    const [address = '', length, ...more] = value.split('/');
    const bits = isIP(address) === 4 ? 32 : isIP(address) === 6 ? 128 : 0;
    const fits = length === undefined || (/^\d{1,3}$/.test(length) && Number(length) <= bits);
    if (bits === 0 || !fits || more.length > 0)
      report([...at, index], `must be an IP address or a CIDR such as 10.0.0.0/8, got "${value}"`, {
        expected: 'an IP address or a CIDR',
      });
  });
}

const KEYS =
  /^(request\.headers\[[^\][]+\]|request\.auth\.claims(\[[^\][]+\]){1,8}|request\.auth\.(principal|audiences|presenter)|source\.(principal|namespace|ip)|remote\.ip|destination\.(ip|port)|connection\.sni)$/;

function checkCondition({ key, values, notValues }: ConditionSpec, at: Path, report: Report): void {
  if (!KEYS.test(key))
    report([...at, 'key'], `is not known, got "${key}"; as request.headers[x-user] or source.ip`, {
      expected: 'a key of Istio',
    });
  if (values === undefined && notValues === undefined) report(at, 'must have values or notValues');
  for (const [field, list] of Object.entries({ values, notValues })) {
    const here = [...at, field];
    if (key.endsWith('.ip')) checkBlocks(list, here, report);
    else checkWildcards(list, here, report);
    if (key === 'source.principal') checkPrincipals(list, here, report);
    if (key !== 'destination.port') continue;
    list?.forEach((value, index) => {
      if (!/^\d{1,5}$/.test(value) || Number(value) > 65_535 || Number(value) < 1)
        report([...here, index], `must be a port, got "${value}"`, { expected: 'a port' });
    });
  }
  const header = /^request\.headers\[(.+)\]$/.exec(key)?.[1]?.toLowerCase();
  if (header !== undefined && (header === ':scheme' || header.startsWith('grpc-')))
    report([...at, 'key'], 'must not be :scheme, nor begin with "grpc-" (gRFC A41)');
}

function checkTime({ zone, from, dates }: TimeSpec, at: Path, report: Report): void {
  // Offsets, which newer versions of Node take too, are no time zones.
  if (!/^[A-Za-z][A-Za-z0-9_+/-]*$/.test(zone) || !isZone(zone))
    report([...at, 'zone'], `must be an IANA time zone such as Europe/Vienna, got "${zone}"`, {
      expected: 'an IANA time zone',
    });
  if (from === '24:00') report([...at, 'from'], 'must be before 24:00: write 00:00');
  dates?.forEach((range, index) => {
    const [first = '', last = first] = range.split('/');
    if (!isDate(first) || !isDate(last)) report([...at, 'dates', index], `the calendar has no "${range}"`);
    else if (last < first) report([...at, 'dates', index], `ends before it begins: "${range}"`);
  });
}

function isZone(name: string): boolean {
  try {
    return new Intl.DateTimeFormat('en-US', { timeZone: name }) !== undefined;
  } catch {
    return false;
  }
}

function isDate(text: string): boolean {
  const at = new Date(`${text}T00:00:00Z`);
  return !Number.isNaN(at.getTime()) && at.toISOString().startsWith(text);
}
