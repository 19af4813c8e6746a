import * as v from 'valibot';
import { about, hostname, ignored, label, listOf, oneOf, resource, text } from './fields.js';
import { serviceTarget } from './policy-target.js';

const targetRef = v.strictObject({
  ...serviceTarget.entries,
  sectionName: about(v.optional(label), 'Name of one port of the Service. Default: each that no other policy names.'),
});

const subjectAltName = v.strictObject({
  type: about(oneOf(['Hostname', 'URI']), 'Which of the two it is.'),
  hostname: about(v.optional(hostname), 'DNS name, of type Hostname.'),
  uri: about(v.optional(text(1, 2048)), 'URI, as `spiffe://…`, of type URI.'),
});

const validation = v.strictObject({
  hostname: about(
    hostname,
    'Server name sent, and the DNS name that the certificate must have, unless subjectAltNames says another.',
  ),
  wellKnownCACertificates: about(
    v.optional(v.literal('System', 'must be "System"')),
    "`System`: the server's certificate is verified by the roots of the system.",
  ),
  caCertificateRefs: about(
    v.optional(
      v.never(
        'is not supported by this version of inmesh: write "wellKnownCACertificates: System", and give the process other roots by NODE_EXTRA_CA_CERTS',
      ),
    ),
    'Not supported: certificates do not travel with the configuration.',
  ),
  subjectAltNames: about(
    v.optional(listOf(subjectAltName, 1, 5)),
    'Names of which the certificate must have one, in place of `hostname`.',
  ),
});

const spec = v.strictObject({
  targetRefs: about(listOf(targetRef, 1, 16), 'Services, or ports of them, that are called over TLS.'),
  validation: about(validation, 'How their certificates are verified.'),
  options: ignored,
});

/** The Gateway API's: TLS to servers that are none of the mesh (GEP-1897). */
export const backendTlsPolicy = resource(
  'BackendTLSPolicy',
  ['gateway.networking.k8s.io/v1', 'gateway.networking.k8s.io/v1alpha3'],
  { spec },
);

export type BackendTlsPolicySpec = v.InferOutput<typeof spec>;
