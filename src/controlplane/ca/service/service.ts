import type { sendUnaryData, ServerUnaryCall, ServiceDefinition } from '@grpc/grpc-js';
import type { PeerIdentity } from '../../../core/identity.js';
import type { Logger } from '../../../core/log.js';
import { CaError, type CaRefusal } from '../errors.js';
import type { Certifier } from './certify.js';
import {
  CREATE_CERTIFICATE,
  type CertificateRequest,
  type CertificateResponse,
  readCertificateRequest,
  readCertificateResponse,
  writeCertificateRequest,
  writeCertificateResponse,
} from '../../../identity/sources/ca-protocol.js';

/** google.rpc.Code. */
const CODES: Readonly<Record<CaRefusal, number>> = {
  bad_request: 3,
  not_found: 5,
  forbidden: 7,
  too_many: 8,
  state: 13,
  unavailable: 14,
  unauthenticated: 16,
};
const INTERNAL = 13;

const asBuffer = (bytes: Uint8Array): Buffer => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);

function sound<T>(message: T | undefined, type: string): T {
  if (message === undefined) throw new Error(`these bytes are no ${type}`);
  return message;
}

export const certificateDefinition = {
  createCertificate: {
    path: CREATE_CERTIFICATE,
    requestStream: false,
    responseStream: false,
    requestSerialize: (message: CertificateRequest) => asBuffer(writeCertificateRequest(message)),
    requestDeserialize: (bytes: Buffer) => sound(readCertificateRequest(bytes), 'IstioCertificateRequest'),
    responseSerialize: (message: CertificateResponse) => asBuffer(writeCertificateResponse(message)),
    responseDeserialize: (bytes: Buffer) => sound(readCertificateResponse(bytes), 'IstioCertificateResponse'),
  },
} satisfies ServiceDefinition;

type CreateCall = ServerUnaryCall<CertificateRequest, CertificateResponse>;

/** The caller's address, without its port: that is another one each time. */
const hostOf = (peer: string): string => peer.replace(/:\d+$/, '');

function tokenOf(call: CreateCall): string | undefined {
  const [header] = call.metadata.get('authorization');
  return /^Bearer +(\S+)$/i.exec(typeof header === 'string' ? header : '')?.[1];
}

/** What `server.addService(certificateDefinition, …)` takes. */
export const certificateImplementation = (
  certifier: Certifier,
  logger: Logger,
  peerAt: (address: string) => PeerIdentity | undefined,
  metadata: (entries: Readonly<Record<string, string>>) => CreateCall['metadata'],
) => ({
  createCertificate(call: CreateCall, callback: sendUnaryData<CertificateResponse>): void {
    const answer = async (): Promise<CertificateResponse> =>
      certifier.certify(call.request, { token: tokenOf(call), peer: peerAt(call.getPeer()) }, hostOf(call.getPeer()));
    answer().then(
      (response) => callback(null, response),
      (error: unknown) => {
        if (!(error instanceof CaError) || error.reason === 'state') {
          logger.error('a certificate could not be issued', { error: String(error) });
          callback({ code: INTERNAL, details: 'the authority has a problem of its own: see its log' });
          return;
        }
        // "grpc-retry-pushback-ms" is what clients of gRPC heed (gRFC A6).
        const { retryAfterMs } = error;
        const trailers =
          retryAfterMs === undefined ? {} : { 'grpc-retry-pushback-ms': String(Math.ceil(retryAfterMs)) };
        callback({ code: CODES[error.reason], details: error.message, metadata: metadata(trailers) });
      },
    );
  },
});
