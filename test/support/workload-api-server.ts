import { createPublicKey, type KeyObject, sign, X509Certificate } from 'node:crypto';
import * as grpc from '@grpc/grpc-js';
import type { X509Identity } from '../../src/core/identity.js';
import { bytesField, doubleField, textField, wholeField } from '../../src/core/wire-write.js';
import { readFields, textOf } from '../../src/core/wire-read.js';

/*
 * A SPIFFE Workload API endpoint, written from the standard (SPIFFE_Workload_API.md, workloadapi.proto): what our client is tested against where there is no SPIRE.
 */

export const derOf = (certificate: string): Uint8Array => new X509Certificate(certificate).raw;
export const joined = (certificates: readonly string[]): Uint8Array => Buffer.concat(certificates.map(derOf));

/** `X509SVID`. `bundle`: PEM. */
export const x509Svid = (identity: X509Identity, bundle: readonly string[], hint = ''): Uint8Array =>
  Buffer.concat([
    textField(1, identity.spiffeId ?? ''),
    bytesField(2, joined(identity.certificates)),
    bytesField(3, identity.privateKey.export({ type: 'pkcs8', format: 'der' })),
    bytesField(4, joined(bundle)),
    textField(5, hint),
  ]);

const entry = (key: string, value: Uint8Array): Uint8Array => Buffer.concat([textField(1, key), bytesField(2, value)]);

/** `X509SVIDResponse`. `federated`: PEM by SPIFFE ID of the trust domain; `crls`: DER. */
export const x509Svids = (
  svids: readonly Uint8Array[],
  federated: Readonly<Record<string, readonly string[]>> = {},
  crls: readonly Uint8Array[] = [],
): Uint8Array =>
  Buffer.concat([
    ...svids.map((it) => bytesField(1, it)),
    ...crls.map((it) => bytesField(2, it)),
    ...Object.entries(federated).map(([id, roots]) => bytesField(3, entry(id, joined(roots)))),
  ]);

/** `X509BundlesResponse`. */
export const x509Bundles = (bundles: Readonly<Record<string, readonly string[]>>): Uint8Array =>
  Buffer.concat(Object.entries(bundles).map(([id, roots]) => bytesField(2, entry(id, joined(roots)))));

/** `JWTBundlesResponse`. JWK sets by SPIFFE ID of the trust domain. */
export const jwtBundles = (bundles: Readonly<Record<string, unknown>>): Uint8Array =>
  Buffer.concat(
    Object.entries(bundles).map(([id, set]) => bytesField(1, entry(id, Buffer.from(JSON.stringify(set), 'utf8')))),
  );

/** `google.protobuf.Value`. */
export function structValue(value: unknown): Uint8Array {
  if (value === null) return Buffer.from([0x08, 0x00]);
  if (typeof value === 'number') return doubleField(2, value);
  if (typeof value === 'string') return bytesField(3, Buffer.from(value, 'utf8'));
  if (typeof value === 'boolean') return value ? wholeField(4, 1) : Buffer.from([0x20, 0x00]);
  if (Array.isArray(value)) return bytesField(6, Buffer.concat(value.map((it) => bytesField(1, structValue(it)))));
  return bytesField(5, struct(value as Record<string, unknown>));
}

/** `google.protobuf.Struct`. */
export const struct = (value: Readonly<Record<string, unknown>>): Uint8Array =>
  Buffer.concat(Object.entries(value).map(([key, inner]) => bytesField(1, entry(key, structValue(inner)))));

const part = (value: unknown): string => Buffer.from(JSON.stringify(value), 'utf8').toString('base64url');

/** A JWT signed with ES256. */
export function signedJwt(
  key: KeyObject,
  claims: Readonly<Record<string, unknown>>,
  header: Readonly<Record<string, unknown>> = { alg: 'ES256', typ: 'JWT', kid: 'one' },
): string {
  const body = `${part(header)}.${part(claims)}`;
  return `${body}.${sign('sha256', Buffer.from(body), { key, dsaEncoding: 'ieee-p1363' }).toString('base64url')}`;
}

/** A JWK as JWT bundles have it. */
export const jwkOf = (privateKey: KeyObject, kid = 'one', use?: string): Record<string, unknown> => ({
  ...createPublicKey(privateKey).export({ format: 'jwk' }),
  kid,
  ...(use === undefined ? {} : { use }),
});

type Raw = grpc.ServerWritableStream<Buffer, Uint8Array>;
type Method = 'FetchX509SVID' | 'FetchX509Bundles' | 'FetchJWTBundles';

/** What the endpoint answers a question with: a message, or a status that refuses it. */
export type Answer = Uint8Array | { readonly code: grpc.status; readonly details: string };

export class WorkloadApiServer {
  /** Metadata of each call, by method. */
  readonly calls: { readonly method: string; readonly header: readonly grpc.MetadataValue[] }[] = [];
  /** `FetchJWTSVID`. */
  mint: (audience: readonly string[], spiffeId: string) => Answer = () => ({ code: 7, details: 'no identity issued' });
  /** `ValidateJWTSVID`. */
  validate: (audience: string, token: string) => Answer = () => ({ code: 3, details: 'token is not good' });
  readonly #streams: Record<Method, Set<Raw>> = {
    FetchX509SVID: new Set(),
    FetchX509Bundles: new Set(),
    FetchJWTBundles: new Set(),
  };
  readonly #now: Partial<Record<Method, Answer>> = {};

  private constructor(
    private readonly server: grpc.Server,
    /** For SPIFFE_ENDPOINT_SOCKET. */
    readonly endpoint: string,
  ) {}

  /** `socket`: path of a Unix socket; absent: TCP on loopback. */
  static async start(socket?: string): Promise<WorkloadApiServer> {
    const server = new grpc.Server();
    const port = await new Promise<number>((resolve, reject) => {
      const address = socket === undefined ? '127.0.0.1:0' : `unix:${socket}`;
      server.bindAsync(address, grpc.ServerCredentials.createInsecure(), (error, bound) =>
        error === null ? resolve(bound) : reject(error),
      );
    });
    const api = new WorkloadApiServer(server, socket === undefined ? `tcp://127.0.0.1:${port}` : `unix://${socket}`);
    api.#serve();
    return api;
  }

  /** What the method says from now on, to those who listen and those who come. */
  say(method: Method, answer: Answer): void {
    this.#now[method] = answer;
    for (const stream of [...this.#streams[method]]) this.#tell(method, stream, answer);
  }

  listeners(method: Method): number {
    return this.#streams[method].size;
  }

  /** Ends all streams, as a server does that restarts. */
  drop(): void {
    for (const set of Object.values(this.#streams)) for (const stream of [...set]) stream.end();
  }

  async stop(): Promise<void> {
    this.server.forceShutdown();
    await Promise.resolve();
  }

  #tell(method: Method, stream: Raw, answer: Answer): void {
    if (answer instanceof Uint8Array) stream.write(answer);
    else {
      this.#streams[method].delete(stream);
      stream.emit('error', answer);
    }
  }

  /** "Requests not including this metadata key/value MUST be rejected" - SPIFFE Workload Endpoint section 3. */
  #refuses(method: string, metadata: grpc.Metadata): { code: grpc.status; details: string } | undefined {
    const header = metadata.get('workload.spiffe.io');
    this.calls.push({ method, header });
    return header.length === 1 && header[0] === 'true'
      ? undefined
      : { code: grpc.status.INVALID_ARGUMENT, details: 'security header missing from request' };
  }

  #serve(): void {
    const raw = {
      requestSerialize: (bytes: Buffer) => bytes,
      requestDeserialize: (bytes: Buffer) => bytes,
      responseSerialize: (bytes: Uint8Array) => Buffer.from(bytes),
      responseDeserialize: (bytes: Buffer) => bytes,
    };
    const definition: Record<string, grpc.MethodDefinition<Buffer, Uint8Array>> = {};
    const handlers: Record<string, grpc.UntypedHandleCall> = {};
    const add = (method: string, responseStream: boolean, handler: grpc.UntypedHandleCall): void => {
      definition[method] = { path: `/SpiffeWorkloadAPI/${method}`, requestStream: false, responseStream, ...raw };
      handlers[method] = handler;
    };
    for (const method of Object.keys(this.#streams) as Method[]) {
      add(method, true, (call: Raw) => {
        const refused = this.#refuses(method, call.metadata);
        if (refused !== undefined) return void call.emit('error', refused);
        this.#streams[method].add(call);
        call.on('cancelled', () => this.#streams[method].delete(call));
        call.on('finish', () => this.#streams[method].delete(call));
        const now = this.#now[method];
        if (now !== undefined) this.#tell(method, call, now);
      });
    }
    type Unary = grpc.ServerUnaryCall<Buffer, Uint8Array>;
    const unary =
      (method: string, answer: (request: Buffer) => Answer) =>
      (call: Unary, callback: grpc.sendUnaryData<Uint8Array>): void => {
        const result = this.#refuses(method, call.metadata) ?? answer(call.request);
        if (result instanceof Uint8Array) callback(null, result);
        else callback(result);
      };
    add(
      'FetchJWTSVID',
      false,
      unary('FetchJWTSVID', (request) => {
        const audience: string[] = [];
        let spiffeId = '';
        readFields(request, {
          1: (value) => audience.push(textOf(value)),
          2: (value) => {
            spiffeId = textOf(value);
          },
        });
        return this.mint(audience, spiffeId);
      }),
    );
    add(
      'ValidateJWTSVID',
      false,
      unary('ValidateJWTSVID', (request) => {
        const found = { audience: '', token: '' };
        readFields(request, {
          1: (value) => {
            found.audience = textOf(value);
          },
          2: (value) => {
            found.token = textOf(value);
          },
        });
        return this.validate(found.audience, found.token);
      }),
    );
    this.server.addService(definition as unknown as grpc.ServiceDefinition, handlers);
  }
}

/** `JWTSVIDResponse`. */
export const jwtSvids = (...svids: readonly { spiffeId: string; token: string; hint?: string }[]): Uint8Array =>
  Buffer.concat(
    svids.map((it) =>
      bytesField(1, Buffer.concat([textField(1, it.spiffeId), textField(2, it.token), textField(3, it.hint ?? '')])),
    ),
  );

/** `ValidateJWTSVIDResponse`. */
export const validated = (spiffeId: string, claims: Readonly<Record<string, unknown>>): Uint8Array =>
  Buffer.concat([textField(1, spiffeId), bytesField(2, struct(claims))]);
