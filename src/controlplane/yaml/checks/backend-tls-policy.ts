import type { Report } from '../problem.js';
import type { BackendTlsPolicySpec } from '../schema/backend-tls-policy.js';

export function checkBackendTlsPolicy({ validation }: BackendTlsPolicySpec, report: Report): void {
  const at = ['spec', 'validation'];
  // "If WellKnownCACertificates is unspecified or empty, then CACertificateRefs must be specified" - and these are not read.
  if (validation.wellKnownCACertificates === undefined)
    report([...at, 'wellKnownCACertificates'], 'is missing: write System', { expected: 'System' });
  validation.subjectAltNames?.forEach(({ type, hostname, uri }, index) => {
    const here = [...at, 'subjectAltNames', index];
    const [wanted, other] = type === 'URI' ? (['uri', 'hostname'] as const) : (['hostname', 'uri'] as const);
    const values = { hostname, uri };
    if (values[wanted] === undefined)
      report([...here, wanted], `is missing: type ${type} needs it`, { expected: wanted });
    if (values[other] !== undefined) report([...here, other], `means nothing with type ${type}: remove it`);
  });
}
