import type { IdentityState, Trust } from '../../core/identity.js';
import type { Resource } from '../../core/resources.js';
import { parseSpiffeId } from '../../identity/spiffe-id.js';

/** Names that Istio's and SPIRE's agents give to what they serve. */
export const CERTIFICATE_SECRET = 'default';
/** Whom to believe, of one's own trust domain and of all that are federated with it. */
export const TRUST_SECRET = 'ROOTCA';
/** SPIRE's name for the same. */
export const ALL_TRUST_SECRET = 'ALL';

const SPIFFE_VALIDATOR = 'type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.SPIFFECertValidatorConfig';

/** What a secret is, and whether a private key is in it: those go over a Unix socket only, or to the workload itself. */
export interface ServedSecret {
  readonly resource: Resource;
  readonly hasKey: boolean;
}

/**
 * The secret of that name: `default` and the identity's own SPIFFE ID are its certificate with its key; `ROOTCA` and `ALL` are whom to believe; the SPIFFE ID of a
 * trust domain is that domain's roots alone. Undefined: there is none.
 */
export function secretNamed(name: string, state: IdentityState): ServedSecret | undefined {
  const { identity, trust } = state;
  if (identity !== undefined && (name === CERTIFICATE_SECRET || name === identity.spiffeId)) {
    const certificate = {
      certificate_chain: inline(identity.certificates),
      private_key: { inline_bytes: Buffer.from(identity.privateKey.export({ type: 'pkcs8', format: 'pem' })) },
    };
    return { resource: { name, tls_certificate: certificate }, hasKey: true };
  }
  if (trust === undefined) return undefined;
  const crl = state.crls === undefined || state.crls.length === 0 ? {} : { crl: inline(state.crls) };
  const validation = (of: Trust): ServedSecret => ({
    resource: { name, validation_context: { ...trusted(of), ...crl } },
    hasKey: false,
  });
  if (name === TRUST_SECRET || name === ALL_TRUST_SECRET) return validation(trust);
  if (trust.kind !== 'spiffe' || !name.startsWith('spiffe://')) return undefined;
  let domain: string;
  try {
    domain = parseSpiffeId(name).trustDomain;
  } catch {
    return undefined;
  }
  const roots = name === `spiffe://${domain}` ? trust.bundles.get(domain) : undefined;
  return roots === undefined ? undefined : validation({ kind: 'spiffe', bundles: new Map([[domain, roots]]) });
}

/**
 * One trust domain is `trusted_ca`: Envoy's validator for SPIFFE knows no revocation lists. Of several each must speak for its own names only, which is what that
 * validator is for.
 */
function trusted(trust: Trust): Resource {
  if (trust.kind === 'roots') return { trusted_ca: inline(trust.certificates) };
  const domains = [...trust.bundles];
  const [first] = domains;
  if (domains.length === 1 && first !== undefined) return { trusted_ca: inline(first[1]) };
  const trust_domains = domains.map(([name, roots]) => ({ name, trust_bundle: inline(roots) }));
  return {
    custom_validator_config: {
      name: 'envoy.tls.cert_validator.spiffe',
      typed_config: { '@type': SPIFFE_VALIDATOR, trust_domains },
    },
  };
}

const inline = (pems: readonly string[]): Resource => ({ inline_bytes: Buffer.from(pems.join('')) });
