import { createServer } from 'node:http';
import * as grpc from '@grpc/grpc-js';
import { CLUSTER, ENDPOINT, LISTENER, type Resource, type ResourceType, ROUTE } from '../../src/core/resources.js';
import { discoveryMethods } from '../../src/xds/wire/ads.js';
import { loadCodec } from '../../src/xds/wire/codec.js';
import type {
  DeltaDiscoveryRequest,
  DeltaDiscoveryResponse,
  DiscoveryRequest,
  DiscoveryResponse,
  RawAny,
} from '../../src/xds/wire/messages.js';

/*
 * A control plane that spends nothing on thinking: a listener, and as many routes and clusters of 10 endpoints as the second argument says, encoded once, for one client, state of the
 * world or delta. Over HTTP: GET /settled answers when the client has acknowledged all of it, GET /change?count=200 when it has acknowledged
 * each of so many changes of one endpoint, one after the other.
 */
const CLUSTERS = Number(process.argv[3]);
const ENDPOINTS = 10;
const live = Number(process.argv[2]);
const codec = await loadCodec();
const { stream, delta } = discoveryMethods(codec);

const any = (type: string, fields: Resource = {}): Resource => ({ '@type': `type.googleapis.com/${type}`, ...fields });
const cluster = (i: number): string => `cluster-${i}`;
const endpoint = (address: string, port: number): Resource => ({
  endpoint: { address: { socket_address: { address, port_value: port } } },
});

/** All endpoints but those of the first cluster are names for nobody: no call goes there. */
const assignment = (i: number, last: number): Resource => ({
  cluster_name: cluster(i),
  endpoints: [
    {
      locality: { region: 'r', zone: 'z' },
      load_balancing_weight: { value: 1 },
      lb_endpoints:
        i === 0
          ? [endpoint('127.0.0.1', live)]
          : Array.from({ length: ENDPOINTS }, (_, n) =>
              endpoint(`127.${1 + (i >> 8)}.${i & 255}.${n === 0 ? last : n}`, 9),
            ),
    },
  ],
});

const held = new Map<string, { readonly packed: RawAny; version: number }>();
let version = 0;
function put(type: ResourceType, name: string, resource: Resource): void {
  held.set(`${type} ${name}`, {
    packed: { type_url: type, value: codec.encodeResource(type, resource) },
    version: ++version,
  });
}

const router = { name: 'router', typed_config: any('envoy.extensions.filters.http.router.v3.Router') };
const hcm = any('envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager', {
  rds: { config_source: { ads: {} }, route_config_name: 'routes' },
  http_filters: [router],
});
put(LISTENER, 'shop', { name: 'shop', api_listener: { api_listener: hcm } });
const routes = Array.from({ length: CLUSTERS }, (_, i) => ({
  match: { prefix: i === 0 ? '/bench.' : `/service-${i}/` },
  route: { cluster: cluster(i) },
}));
put(ROUTE, 'routes', { name: 'routes', virtual_hosts: [{ name: 'all', domains: ['*'], routes }] });
for (let i = 0; i < CLUSTERS; i++) {
  put(CLUSTER, cluster(i), { name: cluster(i), type: 'EDS', eds_cluster_config: { eds_config: { ads: {} } } });
  put(ENDPOINT, cluster(i), assignment(i, 250));
}

/** Endpoint resources that the client has acknowledged at least once. */
const acknowledged = new Set<string>();
const waiting = new Set<() => void>();
let nonce = 0;
/** By nonce: the names that the response carried. */
const sent = new Map<string, readonly string[]>();
let push: (name: string) => string = () => '';

function answered(type: string, responseNonce: string | undefined): void {
  const names = sent.get(responseNonce ?? '');
  if (names === undefined) return;
  sent.delete(responseNonce as string);
  if (type === ENDPOINT) for (const name of names) acknowledged.add(name);
  for (const wake of [...waiting]) wake();
}

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) {
    await new Promise<void>((resolve) => {
      const wake = (): void => {
        waiting.delete(wake);
        resolve();
      };
      waiting.add(wake);
    });
  }
}

type Sotw = grpc.ServerDuplexStream<DiscoveryRequest, DiscoveryResponse>;
type Delta = grpc.ServerDuplexStream<DeltaDiscoveryRequest, DeltaDiscoveryResponse>;

const server = new grpc.Server({ 'grpc.max_send_message_length': -1 });
server.addService(
  { stream, delta },
  {
    stream(call: Sotw) {
      const last = new Map<string, string>();
      const send = (type: string, names: readonly string[]): string => {
        const id = `${++nonce}`;
        const resources = names.flatMap((name) => held.get(`${type} ${name}`)?.packed ?? []);
        sent.set(id, names);
        call.write({ type_url: type, version_info: id, nonce: id, resources });
        return id;
      };
      push = (name) => send(ENDPOINT, [name]);
      call.on('error', () => {});
      call.on('end', () => call.end());
      call.on(
        'data',
        ({ type_url: type = '', resource_names: names = [], response_nonce, error_detail }: DiscoveryRequest) => {
          if (error_detail !== undefined) throw new Error(`refused: ${error_detail.message}`);
          answered(type, response_nonce);
          const before = new Set((last.get(type) ?? '').split('\n'));
          const all = [...names].sort().join('\n');
          if (last.get(type) === all) return;
          last.set(type, all);
          // Endpoints are additive: only those that are new. Of the other types each response is the full set.
          send(type, type === ENDPOINT ? names.filter((name) => !before.has(name)) : names);
        },
      );
    },
    delta(call: Delta) {
      const send = (type: string, names: readonly string[]): string => {
        const id = `${++nonce}`;
        const resources = names.flatMap((name) => {
          const resource = held.get(`${type} ${name}`);
          return resource === undefined ? [] : [{ name, version: `${resource.version}`, resource: resource.packed }];
        });
        sent.set(id, names);
        call.write({ type_url: type, nonce: id, resources });
        return id;
      };
      push = (name) => send(ENDPOINT, [name]);
      call.on('error', () => {});
      call.on('end', () => call.end());
      call.on(
        'data',
        ({
          type_url: type = '',
          resource_names_subscribe: names = [],
          response_nonce,
          error_detail,
        }: DeltaDiscoveryRequest) => {
          if (error_detail !== undefined) throw new Error(`refused: ${error_detail.message}`);
          answered(type, response_nonce);
          if (names.length > 0) send(type, names);
        },
      );
    },
  },
);

const control = createServer((request, response) => {
  const url = new URL(request.url ?? '/', 'http://plane');
  const done = async (): Promise<void> => {
    if (url.pathname === '/settled') await until(() => acknowledged.size === CLUSTERS && sent.size === 0);
    else {
      for (let n = 0; n < Number(url.searchParams.get('count')); n++) {
        const i = 1 + (n % (CLUSTERS - 1));
        put(ENDPOINT, cluster(i), assignment(i, 20 + (n % 200)));
        const id = push(cluster(i));
        await until(() => !sent.has(id));
      }
    }
    response.end('done');
  };
  void done();
});
control.listen(0, '127.0.0.1', () => {
  server.bindAsync('127.0.0.1:0', grpc.ServerCredentials.createInsecure(), (error, port) => {
    if (error !== null) throw error;
    process.send?.({ port, control: (control.address() as { port: number }).port });
  });
});
process.on('disconnect', () => process.exit());
