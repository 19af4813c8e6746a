import type { Path, Report } from '../problem.js';
import type { TrafficTls } from '../schema/traffic-tls.js';

export function checkTrafficTls(tls: TrafficTls | undefined, at: Path, report: Report): void {
  if (tls?.mode !== 'disabled') return;
  for (const field of ['sni', 'subjectAltNames'] as const)
    if (tls[field] !== undefined) report([...at, field], 'means nothing with mode disabled: remove one of them');
}
