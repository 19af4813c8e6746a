import { createServer, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import * as grpc from '@grpc/grpc-js';
import * as protoLoader from '@grpc/proto-loader';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';

/** What an authorization service was told of a request. */
export interface CheckedRequest {
  readonly method: string;
  readonly path: string;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: string;
  readonly principal?: string;
}

export interface AuthzServer {
  readonly port: number;
  readonly asked: CheckedRequest[];
  close(): unknown;
}

/** `allow` and `deny` say so with headers for everybody concerned; `slow` never answers; `broken` answers with an error. */
export type Mood = () => 'allow' | 'deny' | 'slow' | 'broken';

const deps = (...path: string[]): string =>
  join(dirname(createRequire(import.meta.url).resolve('@grpc/grpc-js-xds/package.json')), 'deps', ...path);

/** Envoy's own protos, so that what is on the wire is judged by others than the code that writes it. */
export async function grpcAuthz(mood: Mood): Promise<AuthzServer> {
  const loaded = await protoLoader.load('envoy/service/auth/v3/external_auth.proto', {
    keepCase: true,
    longs: Number,
    enums: Number,
    includeDirs: ['envoy-api', 'xds', 'googleapis', 'protoc-gen-validate'].map((it) => deps(it)),
  });
  const root = grpc.loadPackageDefinition(loaded) as unknown as {
    envoy: { service: { auth: { v3: { Authorization: grpc.ServiceClientConstructor } } } };
  };
  const asked: CheckedRequest[] = [];
  const server = new grpc.Server();
  server.addService(root.envoy.service.auth.v3.Authorization.service, {
    Check(call: grpc.ServerUnaryCall<GrpcCheck, unknown>, done: grpc.sendUnaryData<unknown>) {
      const { request, source } = call.request.attributes;
      const { method, path, headers, body, raw_body } = request.http;
      const text = body || raw_body?.toString() || '';
      asked.push({ method, path, headers, body: text, principal: source?.principal ?? '' });
      switch (mood()) {
        case 'slow':
          return;
        case 'broken':
          return done({ code: grpc.status.UNAVAILABLE });
        case 'allow':
          return done(null, {
            status: { code: 0 },
            ok_response: {
              headers: [
                header('x-user', 'ada'),
                header('x-list', 'b', { append: { value: true } }),
                header('host', 'evil'),
              ],
              headers_to_remove: ['x-secret', 'content-length'],
              response_headers_to_add: [header('x-checked', 'yes')],
            },
          });
        case 'deny':
          return done(null, {
            status: { code: 7 },
            denied_response: { status: { code: 418 }, headers: [header('x-why', 'teapot')], body: 'no tea' },
          });
      }
    },
  });
  const port = await new Promise<number>((resolve, reject) =>
    server.bindAsync('127.0.0.1:0', grpc.ServerCredentials.createInsecure(), (error, at) =>
      error ? reject(error) : resolve(at),
    ),
  );
  return { port, asked, close: () => server.forceShutdown() };
}

const header = (key: string, value: string, more: object = {}) => ({ header: { key, value }, ...more });

interface GrpcCheck {
  readonly attributes: {
    readonly source?: { readonly principal: string };
    readonly request: {
      readonly http: {
        readonly method: string;
        readonly path: string;
        readonly headers: Record<string, string>;
        readonly body: string;
        readonly raw_body?: Buffer;
      };
    };
  };
}

/** The same over HTTP (Envoy `HttpService`). */
export async function httpAuthz(mood: Mood): Promise<AuthzServer> {
  const asked: CheckedRequest[] = [];
  const server = createServer(async (request, response) => {
    const { method = '', url = '', headers } = request;
    asked.push({ method, path: url, headers, body: await textOf(request) });
    switch (mood()) {
      case 'slow':
        return;
      case 'broken':
        return response.writeHead(500).end();
      case 'allow':
        return response.writeHead(200, { 'x-user': 'ada', 'x-checked': 'yes', 'x-other': 'no' }).end('ignored');
      case 'deny':
        return response.writeHead(418, { 'x-why': 'teapot' }).end('no tea');
    }
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    port: (server.address() as AddressInfo).port,
    asked,
    close: () => {
      server.closeAllConnections();
      server.close();
    },
  };
}

async function textOf(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString();
}
