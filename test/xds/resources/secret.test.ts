import { inspect } from 'node:util';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Resource } from '../../../src/core/resources.js';
import { ResourceError } from '../../../src/xds/resources/message.js';
import { secret } from '../../../src/xds/resources/secret.js';
import { testCa } from '../../support/pki.js';
import { refusal } from '../../support/refusal.js';
import { any } from '../../support/xds-resources.js';

const ca = testCa();
const issued = ca.issue({ spiffeId: 'spiffe://cluster.local/ns/default/sa/a' });
const inline = (text: string): Resource => ({ inline_string: text });
const bytes = (text: string): Resource => ({ inline_bytes: Buffer.from(text) });
const certificate = (fields: Resource = {}): Resource => ({
  name: 'default',
  tls_certificate: {
    certificate_chain: inline(issued.certificates.join('')),
    private_key: bytes(issued.keyPem),
    ...fields,
  },
});
const validation = (fields: Resource): Resource => ({ name: 'ROOTCA', validation_context: fields });
const spiffe = (...trust_domains: Resource[]): Resource =>
  validation({
    custom_validator_config: {
      name: 'envoy.tls.cert_validator.spiffe',
      typed_config: any('envoy.extensions.transport_sockets.tls.v3.SPIFFECertValidatorConfig', { trust_domains }),
    },
  });
const roots = inline(ca.root);

describe('a secret', () => {
  test('is a certificate with its key', () => {
    const found = secret(certificate());
    if (found.kind !== 'certificate') throw new Error('no certificate');
    expect(found.certificates).toHaveLength(issued.certificates.length);
    expect(found.privateKey.equals(issued.privateKey)).toBe(true);
  });

  test('is roots for any name, with revocation lists', () => {
    expect(secret(validation({ trusted_ca: roots, crl: inline(ca.crl([Uint8Array.of(10)])) }))).toMatchObject({
      trust: { kind: 'roots', certificates: [expect.stringContaining('CERTIFICATE')] },
      crls: [expect.stringContaining('X509 CRL')],
    });
  });

  test('is roots by trust domain', () => {
    const found = secret(
      spiffe({ name: 'a.example', trust_bundle: roots }, { name: 'b.example', trust_bundle: roots }),
    );
    if (found.kind !== 'validation' || found.trust.kind !== 'spiffe') throw new Error('no trust by domain');
    expect([...found.trust.bundles.keys()]).toEqual(['a.example', 'b.example']);
  });

  test.each<[string, Resource, string]>([
    ['no kind', { name: 'x' }, 'must be tls_certificate or validation_context'],
    ['another kind', { name: 'x', generic_secret: {} }, 'generic_secret: must be tls_certificate'],
    ['a key that is encrypted', certificate({ password: inline('p') }), 'tls_certificate.password: is not supported'],
    ['no certificate', certificate({ certificate_chain: inline('x') }), 'certificate_chain: must have a certificate'],
    ['a key that is none', certificate({ private_key: inline('x') }), 'private_key: must be a private key in PEM'],
    [
      'a file of this machine',
      certificate({ private_key: { filename: '/etc/shadow' } }),
      'private_key.filename: must be',
    ],
    ['nobody to trust', validation({}), 'validation_context.trusted_ca: must be set'],
    ['roots that are none', validation({ trusted_ca: inline('x') }), 'trusted_ca: must have a certificate'],
    [
      'names, which a cluster says',
      validation({ trusted_ca: roots, match_subject_alt_names: [{ exact: 'a' }] }),
      'match_subject_alt_names: is not supported in a secret',
    ],
    [
      'hashes',
      validation({ trusted_ca: roots, verify_certificate_hash: ['a'] }),
      'verify_certificate_hash: is not supported',
    ],
    [
      'another validator',
      validation({ custom_validator_config: { name: 'x', typed_config: any('x.Y') } }),
      'typed_config: must be envoy',
    ],
    ['a trust domain that is none', spiffe({ name: 'A/b', trust_bundle: roots }), 'must be a SPIFFE trust domain'],
    [
      'a trust domain twice',
      spiffe({ name: 'a', trust_bundle: roots }, { name: 'a', trust_bundle: roots }),
      'is there twice',
    ],
  ])('is refused with %s', (_, resource, problem) => {
    expect(refusal(() => secret(resource))).toContain(problem);
  });

  test('that cannot be used shows nothing of its key', () => {
    const broken = issued.keyPem.replace(/.{8}\n-----END/, 'AAAAAAA=\n-----END');
    const lines = issued.keyPem.split('\n').slice(1, -2);
    const message = refusal(() => secret(certificate({ private_key: inline(broken) })));
    for (const line of lines) expect(message).not.toContain(line);
    expect(inspect(secret(certificate()), { depth: 9, showHidden: true })).not.toContain(lines[0]);
  });

  test('of whatever shape is read or refused, and nothing else happens', () => {
    const text = fc.oneof(fc.string(), fc.constant(ca.root), fc.constant(issued.keyPem));
    const data = fc.oneof(
      fc.record({ inline_string: text }),
      fc.record({ inline_bytes: fc.uint8Array() }),
      fc.constant({}),
      fc.anything(),
    );
    const field = fc.record(
      {
        certificate_chain: data,
        private_key: data,
        trusted_ca: data,
        crl: data,
        custom_validator_config: fc.anything(),
      },
      { requiredKeys: [] },
    );
    fc.assert(
      fc.property(
        fc.record({ tls_certificate: field, validation_context: field }, { requiredKeys: [] }),
        (resource) => {
          try {
            secret(resource as Resource);
          } catch (error) {
            expect(error).toBeInstanceOf(ResourceError);
          }
        },
      ),
    );
  });
});
