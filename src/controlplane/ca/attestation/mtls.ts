import { CaError } from '../errors.js';
import type { Attestor } from './attestor.js';

/** Renewal: whoever has a certificate of this authority may have the next one, for the same name and no other. */
export function mtlsAttestor(trustDomain: () => string, isRevoked: (serial: string) => boolean): Attestor {
  return {
    name: 'mtls',
    async attest({ token, peer }) {
      if (token !== undefined || peer?.spiffeId === undefined) return undefined;
      const { spiffeId, serialNumber } = peer;
      if (peer.trustDomain !== trustDomain())
        throw new CaError('forbidden', 'the certificate is of another trust domain');
      // Also of one that was made before: a connection may outlive it by a moment.
      if (isRevoked(serialNumber)) throw new CaError('unauthenticated', 'the certificate was revoked: join anew');
      return { by: 'mtls', spiffeId, allows: (wanted) => wanted === spiffeId };
    },
  };
}
