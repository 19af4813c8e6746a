import { createPrivateKey } from 'node:crypto';
import { parseJoinToken } from '../../../src/controlplane/ca/attestation/join-token.js';
import { CaError } from '../../../src/controlplane/ca/errors.js';
import { checkCsr } from '../../../src/controlplane/ca/x509/csr.js';
import { DecodeError } from '../../../src/core/decode.js';
import { TlsPeerError } from '../../../src/core/tls.js';
import { parseBundle, parseBundleMap, writeBundle } from '../../../src/identity/bundle.js';
import { readCertificate } from '../../../src/identity/certificate.js';
import { Revocations, readCrl } from '../../../src/identity/crl.js';
import { certificateRequest } from '../../../src/identity/csr.js';
import { DerError } from '../../../src/identity/der/read.js';
import { distinguishedName } from '../../../src/identity/distinguished-name.js';
import { CERTIFICATE, CRL, PemError, readPem, writePem } from '../../../src/identity/pem.js';
import { sanTest } from '../../../src/identity/san.js';
import {
  readCertificateRequest,
  readCertificateResponse,
  writeCertificateRequest,
  writeCertificateResponse,
} from '../../../src/identity/sources/ca-protocol.js';
import { parseSpiffeId } from '../../../src/identity/spiffe-id.js';
import { readIdentity, SvidError, signerOf, workloadOf } from '../../../src/identity/svid.js';
import { Verifier } from '../../../src/identity/tls/verifier.js';
import { readX509Bundles, readX509Svids } from '../../../src/identity/workload-api/read.js';
import { testCa } from '../../support/pki.js';

/** Something that reads what comes from outside. */
export interface Target {
  readonly name: string;
  /** Good input, to be spoiled. */
  readonly seeds: readonly Buffer[];
  readonly read: (input: Buffer) => unknown;
  /** What it may throw. */
  readonly throws: readonly (new (
    ...args: never[]
  ) => Error)[];
}

const ca = testCa();
const below = ca.intermediate({
  nameConstraints: {
    permitted: [{ type: 'uri', value: 'cluster.local' }],
    excluded: [{ type: 'ip', value: '10.0.0.0/8' }],
  },
});
const leaf = below.issue({ emails: ['a@b.example'], otherNames: [{ oid: '1.3.6.1.4.1.311.20.2.3', value: 'a@b' }] });
const root = readCertificate(der(ca.root));
const csrKey = createPrivateKey(leaf.keyPem);
const crl = ca.crl([leaf.serial, ca.issue().serial]);
const bundle = writeBundle({
  x509Authorities: [ca.root],
  jwtAuthorities: [{ kty: 'EC', use: 'jwt-svid', kid: 'a' }],
  sequence: 1,
  refreshHintMs: 1_000,
});
const names = sanTest([
  { type: 'any', match: { kind: 'exact', value: 'web.example', ignoreCase: false } },
  { type: 'IP_ADDRESS', match: { kind: 'exact', value: '::1', ignoreCase: false } },
  { type: 'OTHER_NAME', match: { kind: 'suffix', value: 'b', ignoreCase: true }, oid: '1.3.6.1.4.1.311.20.2.3' },
]);

function der(pem: string, label = CERTIFICATE): Buffer {
  return readPem(pem, label)[0] as Buffer;
}

const text = (value: string): Buffer => Buffer.from(value, 'utf8');
/** `[field] length value`, as protobuf has bytes. */
const field = (number: number, bytes: Buffer): Buffer =>
  Buffer.concat([Buffer.from([(number << 3) | 2, (bytes.length & 0x7f) | 0x80, bytes.length >> 7]), bytes]);

const svidResponse = field(
  1,
  Buffer.concat([
    field(1, text(leaf.spiffeId as string)),
    field(2, der(leaf.certificates[0])),
    field(3, csrKey.export({ type: 'pkcs8', format: 'der' })),
    field(4, der(ca.root)),
  ]),
);

/** A certificate with all that is asked of it: whose it is, what it may, what it is called. */
function readAll(input: Buffer): void {
  const certificate = readCertificate(input);
  distinguishedName(certificate.subject, 'subject');
  names(certificate.names);
  if (certificate.isCa) signerOf(certificate);
  else workloadOf(certificate);
}

export const TARGETS: readonly Target[] = [
  {
    name: 'SPIFFE ID',
    seeds: [text(leaf.spiffeId as string), text('spiffe://a')],
    read: (input) => parseSpiffeId(input.toString('latin1')),
    throws: [DecodeError],
  },
  {
    name: 'certificate and its names',
    seeds: [der(leaf.certificates[0]), der(below.certificate), der(ca.root), der(testCa({ alg: 'rsa' }).root)],
    read: readAll,
    throws: [DerError, SvidError],
  },
  {
    name: 'certificate of a peer',
    seeds: [der(leaf.certificates[0])],
    read: (input) =>
      new Verifier(ca.trust(), [readCrl(der(crl, CRL))], () => [leaf.notBefore + 1_000]).verify(
        'client',
        { certificates: [input, der(below.certificate)], openssl: undefined, resumed: false },
        undefined,
      ),
    throws: [TlsPeerError],
  },
  {
    name: 'revocation list',
    seeds: [der(crl, CRL), der(ca.crl([]), CRL)],
    read: (input) => new Revocations([readCrl(input)]).has(root, root),
    throws: [DerError],
  },
  {
    name: 'PEM of an identity',
    seeds: [text(leaf.chainPem + leaf.keyPem), text(leaf.keyPem + leaf.chainPem)],
    read: (input) => readIdentity({ certificates: input.toString('utf8'), privateKey: input.toString('utf8') }),
    throws: [PemError, DerError, SvidError],
  },
  {
    name: 'trust bundle',
    seeds: [text(bundle), text('{"keys":[]}')],
    read: (input) => parseBundle(input.toString('utf8')),
    throws: [DecodeError],
  },
  {
    name: 'map of trust bundles',
    seeds: [text(`{"trust_domains":{"cluster.local":${bundle},"a":{"keys":[]}}}`)],
    read: (input) => parseBundleMap(input.toString('utf8')),
    throws: [DecodeError],
  },
  {
    name: 'certificate request',
    seeds: [der(certificateRequest(csrKey, { spiffeId: leaf.spiffeId, dns: ['web'] }), 'CERTIFICATE REQUEST')],
    read: (input) => checkCsr(writePem('CERTIFICATE REQUEST', input)),
    throws: [CaError],
  },
  {
    name: 'join token',
    seeds: [text(`${'0'.repeat(12)}.${'A'.repeat(43)}.${'f'.repeat(64)}`)],
    read: (input) => parseJoinToken(input.toString('latin1')),
    throws: [],
  },
  {
    name: 'request of a certificate, and its answer',
    seeds: [
      Buffer.from(writeCertificateRequest({ csr: 'PEM', validitySeconds: 86_400 })),
      Buffer.from(writeCertificateResponse({ chain: [ca.root, ca.root] })),
    ],
    read: (input) => [readCertificateRequest(input), readCertificateResponse(input)],
    throws: [],
  },
  {
    name: 'response of the Workload API',
    seeds: [svidResponse, field(2, Buffer.concat([field(1, text('spiffe://a')), field(2, der(ca.root))]))],
    read: (input) => [readX509Svids(input), readX509Bundles(input)],
    throws: [],
  },
];
