import type { TlsRefusal } from '../../core/tls.js';

/** How far clocks of two machines may be apart: a certificate is good for this much longer at both ends, in milliseconds. */
export const SKEW_MS = 20_000;

/** Why a certificate is not valid at any of the times (`SteadyTime`); undefined: it is at one. */
export function invalidity(
  { notBefore, notAfter }: { readonly notBefore: number; readonly notAfter: number },
  times: readonly number[],
): Extract<TlsRefusal, 'expired' | 'not_yet_valid'> | undefined {
  let early = false;
  for (const time of times) {
    if (time < notBefore - SKEW_MS) early = true;
    else if (time <= notAfter + SKEW_MS) return undefined;
  }
  return early ? 'not_yet_valid' : 'expired';
}
