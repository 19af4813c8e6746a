import { addItem, readFields, textOf } from '../../core/wire-read.js';
import { textField, wholeField } from '../../core/wire-write.js';

/** `istio.v1.auth.IstioCertificateService` (istio/api, security/v1alpha1/ca.proto): what our control plane and istiod speak. */
export const CREATE_CERTIFICATE = '/istio.v1.auth.IstioCertificateService/CreateCertificate';

/** Certificates of one answer: a leaf, some intermediates, a root. */
const MAX_CHAIN = 16;

/** `IstioCertificateRequest`. `csr`: PEM. 0 seconds: as long as the CA thinks fit. */
export const writeCertificateRequest = (csr: string, validitySeconds: number): Uint8Array =>
  Buffer.concat([textField(1, csr), wholeField(3, validitySeconds)]);

/** `IstioCertificateResponse`: PEM, leaf first, root last; one or several certificates in each text. Undefined: malformed, or not both of them. */
export function readCertificateResponse(bytes: Uint8Array): readonly string[] | undefined {
  const chain: string[] = [];
  const sound = readFields(bytes, { 1: (value) => addItem(chain, textOf(value), MAX_CHAIN) });
  return sound && chain.length > 0 ? chain : undefined;
}
