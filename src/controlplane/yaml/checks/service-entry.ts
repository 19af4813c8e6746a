import { isIP } from 'node:net';
import type { Report } from '../problem.js';
import type { ServiceEntrySpec } from '../schema/service-entry.js';

export function checkServiceEntry(spec: ServiceEntrySpec, report: Report): void {
  const { hosts, ports = [], resolution, endpoints = [] } = spec;
  const none = resolution === 'NONE';
  const dns = resolution === 'DNS' || resolution === 'DNS_ROUND_ROBIN';
  hosts.forEach((host, index) => {
    if (host.startsWith('*') && !none)
      report(['spec', 'hosts', index], `is a wildcard, which has no addresses of its own: write "resolution: NONE"`, {
        expected: 'resolution: NONE',
      });
  });
  if (none && endpoints.length > 0)
    report(['spec', 'endpoints'], 'are not used with "resolution: NONE": write STATIC or DNS', {
      expected: 'STATIC, DNS',
    });
  if (resolution === 'STATIC' && endpoints.length === 0)
    report(['spec', 'endpoints'], 'are missing: "resolution: STATIC" needs them', { expected: 'endpoints' });
  if (dns && endpoints.length === 0 && hosts.length > 1)
    report(['spec', 'hosts'], 'are several, and each would be found by its own name: write a ServiceEntry for each', {
      expected: 'one host, or endpoints',
    });
  endpoints.forEach(({ address }, index) => {
    if (resolution === 'STATIC' && isIP(address) === 0)
      report(['spec', 'endpoints', index, 'address'], 'must be an IP address with "resolution: STATIC"', {
        expected: 'an IP address',
      });
  });
  const numbers = new Set<number>();
  ports.forEach(({ number, name }, index) => {
    if (numbers.has(number)) report(['spec', 'ports', index, 'number'], `port ${number} is there twice`);
    numbers.add(number);
    if (ports.length > 1 && name === undefined)
      report(['spec', 'ports', index], 'needs a name, as there are several ports', { expected: 'name' });
  });
}
