import {
  type sendUnaryData,
  Server,
  ServerCredentials,
  type ServerInterceptor,
  type ServerUnaryCall,
} from '@grpc/grpc-js';
import { type OrcaServiceOptions, orcaService } from '../../src/server/orca/service.js';

const asIs = (bytes: Buffer): Buffer => bytes;

/** `test.Echo/Get`, on bytes. */
export const ECHO = {
  path: '/test.Echo/Get',
  requestStream: false,
  responseStream: false,
  requestSerialize: asIs,
  requestDeserialize: asIs,
  responseSerialize: asIs,
  responseDeserialize: asIs,
} as const;

export type EchoHandler = (call: ServerUnaryCall<Buffer, Buffer>, callback: sendUnaryData<Buffer>) => void;

export interface OrcaServer {
  readonly port: number;
  readonly server: Server;
  close(): void;
}

/** A grpc-js server with the service of load reports, unless `orca` is undefined, and an echo. */
export async function orcaServer(
  orca: OrcaServiceOptions | undefined,
  { interceptors = [], port = 0, echo = (call, callback) => callback(null, call.request) }: OrcaServerInit = {},
): Promise<OrcaServer> {
  const server = new Server({ interceptors: [...interceptors] });
  if (orca !== undefined) server.addService(...orcaService(orca));
  server.addService({ Get: ECHO }, { Get: echo });
  const bound = await new Promise<number>((resolve, reject) =>
    server.bindAsync(`127.0.0.1:${port}`, ServerCredentials.createInsecure(), (error, at) =>
      error === null ? resolve(at) : reject(error),
    ),
  );
  return { port: bound, server, close: () => server.forceShutdown() };
}

interface OrcaServerInit {
  readonly interceptors?: readonly ServerInterceptor[];
  readonly port?: number;
  readonly echo?: EchoHandler;
}
