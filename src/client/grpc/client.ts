import type { ChannelCredentials, Client, ClientOptions } from '@grpc/grpc-js';
import type { Service } from '../../core/service.js';
import { MeshChannel, type MeshChannelEnv, type MeshChannelOptions } from './channel.js';
import { idempotentMethods } from './idempotency.js';

/** What code generators make for grpc-js: grpc_tools_node_protoc, ts-proto, proto-loader's makeClientConstructor. */
export type GrpcClientConstructor<T extends Client> = new (
  address: string,
  credentials: ChannelCredentials,
  options?: Partial<ClientOptions>,
) => T;

/** grpc-js's options of a client, and `mesh`: what holds for all its calls. */
export type MeshClientOptions = Partial<ClientOptions> & MeshChannelOptions;

/**
 * A generated client whose calls go through the mesh. The client class brings its own grpc-js; we load none. `options` are those of a
 * grpc-js client, interceptors included.
 */
export function grpcClient<T extends Client>(
  service: Service,
  ClientClass: GrpcClientConstructor<T>,
  authority: string,
  env: MeshChannelEnv,
  options: MeshClientOptions = {},
): T {
  const channelOverride = new MeshChannel(service, authority, {
    ...env,
    options: { ...env.options, ...options },
    idempotent: idempotentMethods(ClientClass),
  });
  // With a channel given, grpc-js's Client looks at no credentials: those of the connection are the mesh's.
  return new ClientClass(authority, undefined as unknown as ChannelCredentials, { ...options, channelOverride });
}
