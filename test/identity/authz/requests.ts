import { headerFields } from '../../../src/core/headers.js';
import type { PeerIdentity } from '../../../src/core/identity.js';
import type { AuthzCondition, RbacPolicy, RbacRules } from '../../../src/core/model/authorization.js';
import type { AuthzRequest } from '../../../src/identity/authz/request.js';

/** A request for the engine; what is not given is a plain GET of nobody. */
export function authzRequest(
  given: Partial<Omit<AuthzRequest, 'headers'>> & { readonly headers?: Record<string, string | string[]> } = {},
): AuthzRequest {
  return {
    method: 'GET',
    path: given.judgedPath ?? '/',
    judgedPath: given.path ?? '/',
    host: 'reviews',
    scheme: 'http',
    protocol: 'http',
    secure: given.peerIdentity !== undefined,
    peerIdentity: undefined,
    peerAddress: '10.0.0.1',
    clientAddress: '10.0.0.1',
    localAddress: '10.0.0.9',
    localPort: 8080,
    serverName: '',
    claims: undefined,
    ...given,
    headers: headerFields(given.headers ?? {}),
  };
}

/** Whom a certificate is of. */
export const peer = (names: Partial<PeerIdentity>): PeerIdentity => ({
  spiffeId: names.uriSans?.[0],
  trustDomain: undefined,
  uriSans: [],
  dnsSans: [],
  subject: '',
  serialNumber: '01',
  fingerprint: '00',
  notAfter: 0,
  ...names,
});

export const ANY: AuthzCondition = { kind: 'any' };
export const exact = (value: string) => ({ kind: 'exact', value, ignoreCase: false }) as const;
export const prefix = (value: string) => ({ kind: 'prefix', value, ignoreCase: false }) as const;
export const atPath = (value: string): AuthzCondition => ({ kind: 'path', match: exact(value) });
export const calledBy = (value: string): AuthzCondition => ({ kind: 'authenticated', name: exact(value) });

export const rbacPolicy = (
  name: string,
  permission: AuthzCondition = ANY,
  principal: AuthzCondition = ANY,
): RbacPolicy => ({
  name,
  permissions: [permission],
  principals: [principal],
});

export const rules = (action: RbacRules['action'], ...policies: RbacPolicy[]): RbacRules => ({ action, policies });
