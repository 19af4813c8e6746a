import { CERTIFICATE, readPem, writePem } from '../../../identity/pem.js';

/** Certificates of a PEM text, each one by itself and written alike. Throws a PemError. */
export const certificatesOf = (text: string): string[] =>
  readPem(text, CERTIFICATE).map((der) => writePem(CERTIFICATE, der));
