import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { until } from '../../support/redis.js';

const TLS = 'type.googleapis.com/envoy.extensions.transport_sockets.tls.v3';
const HCM = 'type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager';
const HTTP = 'type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions';
const ROUTER = {
  name: 'router',
  typed_config: { '@type': 'type.googleapis.com/envoy.extensions.filters.http.router.v3.Router' },
};

/** A real Envoy that has its certificate, and whom it trusts, from an SDS server at a Unix socket. */
export class SdsEnvoy {
  private constructor(
    private readonly child: ChildProcess,
    private readonly folder: string,
    private readonly admin: string,
    /** Takes mutual TLS and answers by itself. */
    readonly inbound: number,
    /** Takes plain HTTP and goes on to `upstream` with mutual TLS. */
    readonly outbound: number,
  ) {}

  static async start(binary: string, sds: string, upstream: number): Promise<SdsEnvoy> {
    const folder = await mkdtemp(join(tmpdir(), 'inmesh-sds-envoy-'));
    const path = join(folder, 'envoy.json');
    await writeFile(path, JSON.stringify(bootstrap(sds, upstream)));
    const address = join(folder, 'admin');
    const args = ['-c', path, '--admin-address-path', address, '--concurrency', '1', '--disable-hot-restart'];
    const child = spawn(binary, [...args, '--log-level', 'error'], { stdio: ['ignore', 'ignore', 'inherit'] });
    try {
      let admin = '';
      await until(async () => {
        if (child.exitCode !== null) throw new Error(`Envoy ended with ${child.exitCode}`);
        admin = await readFile(address, 'utf8').catch(() => '');
        if (admin === '') return false;
        return fetch(`http://${admin}/ready`).then(
          ({ status }) => status === 200,
          () => false,
        );
      }, 'Envoy is ready');
      const { listener_statuses } = (await (await fetch(`http://${admin}/listeners?format=json`)).json()) as Listeners;
      const port = (name: string): number =>
        listener_statuses.find((it) => it.name === name)?.local_address.socket_address.port_value ?? 0;
      return new SdsEnvoy(child, folder, admin, port('inbound'), port('outbound'));
    } catch (error) {
      child.kill('SIGKILL');
      await rm(folder, { recursive: true, force: true });
      throw error;
    }
  }

  /** Its counters whose names match. */
  async stats(filter: string): Promise<string> {
    return (await fetch(`http://${this.admin}/stats?filter=${encodeURIComponent(filter)}`)).text();
  }

  async stop(): Promise<void> {
    if (this.child.exitCode === null && this.child.signalCode === null) {
      const gone = once(this.child, 'exit');
      this.child.kill('SIGTERM');
      await gone;
    }
    await rm(this.folder, { recursive: true, force: true });
  }
}

interface Listeners {
  readonly listener_statuses: readonly {
    readonly name: string;
    readonly local_address: { readonly socket_address: { readonly port_value: number } };
  }[];
}

const loopback = (port_value: number) => ({ socket_address: { address: '127.0.0.1', port_value } });

function bootstrap(sds: string, upstream: number): object {
  const secret = (name: string) => ({
    name,
    sds_config: {
      resource_api_version: 'V3',
      api_config_source: {
        api_type: 'GRPC',
        transport_api_version: 'V3',
        grpc_services: [{ envoy_grpc: { cluster_name: 'sds' } }],
      },
    },
  });
  const common_tls_context = {
    tls_certificate_sds_secret_configs: [secret('default')],
    validation_context_sds_secret_config: secret('ROOTCA'),
  };
  const transport = (type: string, more: object) => ({
    name: 'tls',
    typed_config: { '@type': `${TLS}.${type}`, common_tls_context, ...more },
  });
  const listener = (name: string, route: object, more: object = {}) => ({
    name,
    address: loopback(0),
    filter_chains: [
      {
        filters: [
          {
            name: 'http',
            typed_config: {
              '@type': HCM,
              stat_prefix: name,
              http_filters: [ROUTER],
              route_config: {
                virtual_hosts: [{ name, domains: ['*'], routes: [{ match: { prefix: '/' }, ...route }] }],
              },
            },
          },
        ],
        ...more,
      },
    ],
  });
  const cluster = (name: string, endpoint: object, http: object, more: object = {}) => ({
    name,
    type: 'STATIC',
    load_assignment: { cluster_name: name, endpoints: [{ lb_endpoints: [{ endpoint: { address: endpoint } }] }] },
    typed_extension_protocol_options: {
      'envoy.extensions.upstreams.http.v3.HttpProtocolOptions': { '@type': HTTP, ...http },
    },
    ...more,
  });
  const tls = transport('DownstreamTlsContext', { require_client_certificate: true });
  return {
    node: { id: 'envoy', cluster: 'envoy' },
    admin: { address: loopback(0) },
    static_resources: {
      listeners: [
        listener(
          'inbound',
          { direct_response: { status: 200, body: { inline_string: 'envoy' } } },
          { transport_socket: tls },
        ),
        listener('outbound', { route: { cluster: 'ours' } }),
      ],
      clusters: [
        cluster('sds', { pipe: { path: sds } }, { explicit_http_config: { http2_protocol_options: {} } }),
        // A connection for each request, so that each is a handshake.
        cluster(
          'ours',
          loopback(upstream),
          {
            explicit_http_config: { http_protocol_options: {} },
            common_http_protocol_options: { max_requests_per_connection: 1 },
          },
          { transport_socket: transport('UpstreamTlsContext', { sni: 'ours' }) },
        ),
      ],
    },
  };
}
