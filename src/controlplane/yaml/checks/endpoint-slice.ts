import { isIP } from 'node:net';
import { shown } from '../../../core/decode.js';
import { HOST_NAME_PATTERN } from '../host-port.js';
import type { Report } from '../problem.js';
import type { SliceSpec } from '../schema/endpoint-slice.js';

const FITS: Readonly<Record<SliceSpec['addressType'], { what: string; test: (address: string) => boolean }>> = {
  IPv4: { what: 'an IPv4 address', test: (address) => isIP(address) === 4 },
  IPv6: { what: 'an IPv6 address', test: (address) => isIP(address) === 6 },
  FQDN: { what: 'a host name', test: (address) => HOST_NAME_PATTERN.test(address) },
};

export function checkEndpointSlice({ addressType, endpoints }: SliceSpec, report: Report): void {
  const { what, test } = FITS[addressType];
  endpoints?.forEach((endpoint, index) => {
    endpoint.addresses.forEach((address, number) => {
      if (test(address)) return;
      const path = ['endpoints', index, 'addresses', number];
      report(path, `must be ${what} (addressType ${addressType}), got ${shown(address)}`, { expected: what });
    });
  });
}
