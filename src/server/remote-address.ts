import { isIP } from 'node:net';
import { DecodeError, number } from '../core/decode.js';

/** More proxies in a row nobody has. */
export const MAX_TRUSTED_HOPS = 16;

/** How many proxies are trusted. Throws DecodeError. */
export function hops(value = 0, path = 'trustedProxies'): number {
  number(value, path, 0, MAX_TRUSTED_HOPS);
  if (!Number.isInteger(value)) throw new DecodeError(path, `must be a whole number, got ${value}`);
  return value;
}

/**
 * The client's address, where so many proxies in front of this server are trusted: the address that the first of them added to `x-forwarded-for`. Each adds
 * one at the right end, so what a client has written itself stands further left and is not looked at. With fewer addresses than that the field is not
 * believed, and the client is who is at the other end of the connection (Envoy `xff_num_trusted_hops` with `use_remote_address`).
 */
export function clientAddress(
  peer: string | undefined,
  forwardedFor: string | readonly string[] | undefined,
  trustedHops: number,
): string | undefined {
  if (trustedHops === 0 || forwardedFor === undefined) return peer;
  const entries = (typeof forwardedFor === 'string' ? forwardedFor : forwardedFor.join(',')).split(',');
  const address = entries.at(-trustedHops)?.trim();
  if (address === undefined) return peer;
  const bare = /^\[(.*)\]$/.exec(address)?.[1] ?? address;
  return isIP(bare) === 0 ? peer : bare;
}
