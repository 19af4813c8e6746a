import { addItem, readFields, textOf, wholeOf } from '../../core/wire-read.js';
import { textField, wholeField } from '../../core/wire-write.js';

/** `istio.v1.auth.IstioCertificateService` (istio/api, security/v1alpha1/ca.proto): what our control plane and istiod speak, and Istio's agents ask with. */
export const CREATE_CERTIFICATE = '/istio.v1.auth.IstioCertificateService/CreateCertificate';

/** Certificates of one answer: a leaf, some intermediates, a root. */
const MAX_CHAIN = 16;

/** `IstioCertificateRequest`. */
export interface CertificateRequest {
  /** PEM. */
  readonly csr: string;
  /** Seconds; 0: as long as the CA thinks fit. */
  readonly validitySeconds: number;
}

export const writeCertificateRequest = ({ csr, validitySeconds }: CertificateRequest): Uint8Array =>
  Buffer.concat([textField(1, csr), wholeField(3, validitySeconds)]);

/** Undefined: malformed. `metadata` (4) is not read: attestation does not go by what a caller says of itself. */
export function readCertificateRequest(bytes: Uint8Array): CertificateRequest | undefined {
  let csr = '';
  let validitySeconds = 0;
  const sound = readFields(bytes, {
    1: (value) => {
      csr = textOf(value);
    },
    3: (value) => {
      validitySeconds = wholeOf(value);
    },
  });
  return sound ? { csr, validitySeconds } : undefined;
}

/** `IstioCertificateResponse`. */
export interface CertificateResponse {
  /** PEM, leaf first, root last; one or several certificates in each text. */
  readonly chain: readonly string[];
}

/** Undefined: malformed, or empty. */
export function readCertificateResponse(bytes: Uint8Array): CertificateResponse | undefined {
  const chain: string[] = [];
  const sound = readFields(bytes, { 1: (value) => addItem(chain, textOf(value), MAX_CHAIN) });
  return sound && chain.length > 0 ? { chain } : undefined;
}

export const writeCertificateResponse = ({ chain }: CertificateResponse): Uint8Array =>
  Buffer.concat(chain.map((pem) => textField(1, pem)));
