import { CaError } from '../errors.js';
import type { Attestor } from './attestor.js';

/** Renewal: whoever has a certificate of this authority may have the next one, for the same name and no other. `now`: wall-clock milliseconds, for the records of those that have ended. */
export function mtlsAttestor(
  trustDomain: () => string,
  isRevoked: (serial: string) => boolean,
  now: () => number = () => Number.NEGATIVE_INFINITY,
): Attestor {
  return {
    name: 'mtls',
    unguessable: true,
    async attest({ token, peer }) {
      if (token !== undefined || peer?.spiffeId === undefined) return undefined;
      const { spiffeId, serialNumber } = peer;
      if (peer.trustDomain !== trustDomain())
        throw new CaError('forbidden', 'the certificate is of another trust domain');
      // Also of one that was made before: a connection may outlive it by a moment.
      if (isRevoked(serialNumber)) throw revoked();
      return {
        // Whether one that has ended is let in is the TLS port's to say (`renewalAfterExpiryMs`).
        by: peer.notAfter < now() ? 'mtls, after its end' : 'mtls',
        spiffeId,
        allows: (wanted) => wanted === spiffeId,
        // While it waited for its turn, here or in another process: what revokes a name finds all that was recorded before it, and nothing is recorded after.
        meanwhile: async (turn) => {
          if (turn.isRevoked(serialNumber)) throw revoked();
        },
      };
    },
  };
}

const revoked = (): CaError => new CaError('unauthenticated', 'the certificate was revoked: join anew');
