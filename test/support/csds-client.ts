import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import * as grpc from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';

const require = createRequire(import.meta.url);

/** `ClientStatusResponse` as protobufjs reads it: not a line of it is ours. Unknown enum values are numbers. */
export interface ClientStatusResponse {
  readonly config: readonly {
    readonly node: Readonly<Record<string, unknown>> | null;
    readonly client_scope: string;
    readonly generic_xds_configs: readonly GenericXdsConfig[];
    readonly xds_config: readonly unknown[];
  }[];
}

interface Timestamp {
  readonly seconds: number;
  readonly nanos: number;
}

interface RawAny {
  readonly type_url: string;
  readonly value: Buffer;
}

export interface GenericXdsConfig {
  readonly type_url: string;
  readonly name: string;
  readonly version_info: string;
  readonly client_status: string | number;
  readonly xds_config: RawAny | null;
  readonly last_updated: Timestamp | null;
  readonly error_state: {
    readonly details: string;
    readonly version_info: string;
    readonly last_update_attempt: Timestamp;
    readonly failed_configuration: RawAny | null;
  } | null;
}

export interface CsdsClient extends grpc.Client {
  FetchClientStatus(request: object, callback: grpc.requestCallback<ClientStatusResponse>): grpc.ClientUnaryCall;
  StreamClientStatus(): grpc.ClientDuplexStream<object, ClientStatusResponse>;
}

/** A client of the service, generated from Envoy's .proto files as grpc-js-xds has them. */
export function csdsClient(address: string): CsdsClient {
  const deps = join(dirname(require.resolve('@grpc/grpc-js-xds/package.json')), 'deps');
  const includeDirs = ['envoy-api', 'xds', 'googleapis', 'protoc-gen-validate'].map((name) => join(deps, name));
  const definition = loadSync('envoy/service/status/v3/csds.proto', {
    includeDirs,
    keepCase: true,
    longs: Number,
    enums: String,
    defaults: true,
  });
  const service = definition['envoy.service.status.v3.ClientStatusDiscoveryService'] as grpc.ServiceDefinition;
  const Client = grpc.makeClientConstructor(service, 'ClientStatusDiscoveryService');
  return new Client(address, grpc.credentials.createInsecure()) as unknown as CsdsClient;
}
