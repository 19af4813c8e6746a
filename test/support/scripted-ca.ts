import { createHash, createPublicKey, X509Certificate } from 'node:crypto';
import * as grpc from '@grpc/grpc-js';
import { checkCsr } from '../../src/controlplane/ca/x509/csr.js';
import {
  type CertificateRequest,
  CREATE_CERTIFICATE,
  readCertificateRequest,
  writeCertificateResponse,
} from '../../src/identity/sources/ca-protocol.js';
import { type Issued, type TestCa, testCa } from './pki.js';

/** What the authority was asked: who showed what. */
export interface Asked {
  readonly authorization: string | undefined;
  /** Serial number of the certificate that the caller showed. */
  readonly shown: string | undefined;
  readonly request: CertificateRequest;
}

const raw = (bytes: Buffer): Buffer => bytes;

/** A CA over Istio's protocol that does as it is told; its server has the identity of a control plane. Signs what it is asked for. */
export class ScriptedCa {
  readonly asked: Asked[] = [];
  /** Set: the next requests fail with it. */
  refusal: { readonly code: grpc.status; readonly details: string } | undefined;
  lifetimeMs = 3_600_000;
  /** In place of what is asked for. */
  answer: ((publicKey: ReturnType<typeof createPublicKey>) => readonly string[]) | undefined;

  private constructor(
    readonly ca: TestCa,
    /** What its server shows. */
    readonly identity: Issued,
    private readonly server: grpc.Server,
    readonly address: string,
    private readonly wallTime: () => number,
  ) {}

  /** `wallTime`: what the clock on the CA's wall says. `more`: other services on the same port. */
  static async start(
    wallTime: () => number,
    options: {
      readonly ca?: TestCa;
      readonly serverId?: string;
      readonly port?: number;
      readonly more?: (server: grpc.Server) => void;
    } = {},
  ): Promise<ScriptedCa> {
    const ca = options.ca ?? testCa();
    const identity = ca.issue({
      spiffeId: options.serverId ?? `spiffe://${ca.trustDomain}/ns/inmesh/sa/control-plane`,
      name: 'control-plane',
    });
    const server = new grpc.Server();
    const pair = { private_key: Buffer.from(identity.keyPem), cert_chain: Buffer.from(identity.chainPem + ca.root) };
    const credentials = grpc.ServerCredentials.createSsl(Buffer.from(ca.root), [pair], true);
    // Whoever joins has no certificate yet; grpc-js knows all or nobody.
    const settings = credentials as unknown as { _getConstructorOptions(): object };
    settings._getConstructorOptions = () => ({ requestCert: true, rejectUnauthorized: false });
    let scripted: ScriptedCa | undefined;
    const definition = {
      path: CREATE_CERTIFICATE,
      ...{ requestStream: false, responseStream: false },
      ...{ requestSerialize: raw, requestDeserialize: raw, responseDeserialize: raw },
      responseSerialize: (bytes: Uint8Array) => Buffer.from(bytes),
    };
    server.addService({ createCertificate: definition } as unknown as grpc.ServiceDefinition, {
      createCertificate: (call: grpc.ServerUnaryCall<Buffer, Uint8Array>, callback: grpc.sendUnaryData<Uint8Array>) =>
        void scripted?.create(call, callback),
    });
    options.more?.(server);
    const port = await new Promise<number>((resolve, reject) => {
      server.bindAsync(`127.0.0.1:${options.port ?? 0}`, credentials, (error, bound) =>
        error === null ? resolve(bound) : reject(error),
      );
    });
    scripted = new ScriptedCa(ca, identity, server, `127.0.0.1:${port}`, wallTime);
    return scripted;
  }

  /** SHA-256 of the root, as join tokens have it. */
  get pin(): string {
    return createHash('sha256').update(new X509Certificate(this.ca.root).raw).digest('hex');
  }

  async create(
    call: grpc.ServerUnaryCall<Buffer, Uint8Array>,
    callback: grpc.sendUnaryData<Uint8Array>,
  ): Promise<void> {
    const request = readCertificateRequest(call.request);
    if (request === undefined) return callback({ code: 3, details: 'no request' });
    const [header] = call.metadata.get('authorization');
    this.asked.push({
      authorization: header?.toString(),
      shown: call.getAuthContext().sslPeerCertificate?.serialNumber,
      request,
    });
    if (this.refusal !== undefined) return callback(this.refusal);
    const { uris, publicKey: spki } = checkCsr(request.csr);
    const publicKey = createPublicKey({ key: Buffer.from(spki), format: 'der', type: 'spki' });
    const now = this.wallTime();
    const { certificates } = this.ca.issue({
      spiffeId: uris[0],
      publicKey,
      ...{ notBefore: now, notAfter: now + this.lifetimeMs },
    });
    callback(null, writeCertificateResponse({ chain: this.answer?.(publicKey) ?? [...certificates, this.ca.root] }));
  }

  stop(): void {
    this.server.forceShutdown();
  }
}
