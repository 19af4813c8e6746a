import { formatProblem } from '../../../routing/format/format.js';
import type { Path, Report } from '../problem.js';
import type { HeaderFormats } from '../schema/header-formats.js';

export function checkHeaderFormats(formats: HeaderFormats | undefined, at: Path, report: Report): void {
  for (const list of ['set', 'add', 'addIfAbsent'] as const) {
    formats?.[list]?.forEach(({ name, value }, index) => {
      const valueAt = [...at, list, index, 'value'];
      checkName(name, [...at, list, index, 'name'], report);
      const problem = formatProblem(value);
      if (problem !== undefined) report(valueAt, problem);
      // RFC 9110 section 5.5; Node refuses to send anything else.
      if (!/^[\t\x20-\x7e\x80-\xff]*$/.test(value)) report(valueAt, 'must be Latin-1 text without control characters');
    });
  }
  formats?.remove?.forEach((name, index) => {
    checkName(name, [...at, 'remove', index], report);
  });
}

function checkName(name: string, at: Path, report: Report): void {
  if (name.toLowerCase() === 'host')
    report(at, 'the Host header is changed with URLRewrite.hostname, hostRewriteHeader or hostRewritePathRegex');
}
