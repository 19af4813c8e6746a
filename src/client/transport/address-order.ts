import { isIP } from 'node:net';
import type { Address } from '../../core/model/endpoint.js';

/**
 * The order in which the addresses of one endpoint are tried: families take turns, that of the first address first, so that a family which does not
 * work here costs one attempt and not all of its own (RFC 8305 section 4, with a "First Address Family Count" of 1; gRFC A61).
 */
export function addressOrder(addresses: readonly [Address, ...Address[]]): readonly [Address, ...Address[]] {
  // Of two, either order alternates.
  if (addresses.length < 3) return addresses;
  const families = new Map<number, Address[]>();
  for (const address of addresses) {
    const family = families.get(isIP(address.host));
    if (family === undefined) families.set(isIP(address.host), [address]);
    else family.push(address);
  }
  const order: Address[] = [];
  for (let turn = 0; order.length < addresses.length; turn++) {
    for (const family of families.values()) {
      const address = family[turn];
      if (address !== undefined) order.push(address);
    }
  }
  return order as [Address, ...Address[]];
}
