import * as grpc from '@grpc/grpc-js';
import * as fc from 'fast-check';
import { afterEach, describe, expect, test } from 'vitest';
import { CLUSTER, ENDPOINT, LISTENER, type ResourcesDump, ROUTE } from '../../../src/core/resources.js';
import { systemClock } from '../../../src/core/clock.js';
import { Slices } from '../../../src/core/steps.js';
import { clientConfig, genericXdsConfig } from '../../../src/xds/csds/client-config.js';
import { encodeClientStatus } from '../../../src/xds/csds/response.js';
import { csdsService } from '../../../src/xds/csds/index.js';
import { loadCodec } from '../../../src/xds/wire/index.js';
import { type ClientStatusResponse, type CsdsClient, csdsClient } from '../../support/csds-client.js';
import { ALL_STATES, bytesOf, dump, dumped, NODE, NOW } from './support.js';

const cleanup: (() => void)[] = [];
afterEach(() => {
  for (const end of cleanup.splice(0)) end();
});

async function serve(dumps: () => readonly ResourcesDump[]): Promise<CsdsClient> {
  const server = new grpc.Server();
  server.addService(...csdsService(dumps));
  const port = await new Promise<number>((resolve, reject) =>
    server.bindAsync('127.0.0.1:0', grpc.ServerCredentials.createInsecure(), (error, bound) =>
      error === null ? resolve(bound) : reject(error),
    ),
  );
  const client = csdsClient(`127.0.0.1:${port}`);
  cleanup.push(
    () => client.close(),
    () => server.forceShutdown(),
  );
  return client;
}

const fetchStatus = (client: CsdsClient, request: object = {}): Promise<ClientStatusResponse> =>
  new Promise((resolve, reject) =>
    client.FetchClientStatus(request, (error, response) =>
      error === null && response !== undefined ? resolve(response) : reject(error),
    ),
  );

const any = (value: Uint8Array, type_url = CLUSTER) => ({ type_url, value: Buffer.from(value) });
const seconds = 1_700_000_000;

describe('FetchClientStatus', () => {
  test('tells of every resource with its state, as another protobuf library reads it', async () => {
    const client = await serve(() => [dump(ALL_STATES)]);
    const { config } = await fetchStatus(client);
    expect(config).toHaveLength(1);
    expect(config[0]).toMatchObject({ node: NODE, client_scope: 'mesh', xds_config: [] });
    expect(config[0]?.generic_xds_configs.map(({ name, client_status }) => [name, client_status])).toEqual([
      ['requested', 'REQUESTED'],
      ['gone', 'DOES_NOT_EXIST'],
      ['gone-but-kept', 'DOES_NOT_EXIST'],
      ['good', 'ACKED'],
      ['refused', 'NACKED'],
      ['never-good', 'NACKED'],
      // RECEIVED_ERROR and TIMEOUT of A88, which the .proto files of this client are too old to name.
      ['error', 5],
      ['silence', 6],
    ]);
  });

  test('shows a resource as it came, with the whole type URL', async () => {
    const client = await serve(() => [dump(ALL_STATES)]);
    const { config } = await fetchStatus(client);
    const byName = new Map(config[0]?.generic_xds_configs.map((found) => [found.name, found]));
    expect(byName.get('good')).toMatchObject({
      type_url: 'type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment',
      version_info: '4',
      xds_config: any(ALL_STATES[3]?.raw as Uint8Array, ENDPOINT),
      last_updated: { seconds, nanos: 250_000_000 },
      error_state: null,
    });
    expect(byName.get('requested')).toMatchObject({
      version_info: '',
      xds_config: null,
      last_updated: null,
      error_state: null,
    });
  });

  test('of a refused update shows what is in use, and apart from it what was refused', async () => {
    const client = await serve(() => [dump(ALL_STATES)]);
    const { config } = await fetchStatus(client);
    const byName = new Map(config[0]?.generic_xds_configs.map((found) => [found.name, found]));
    expect(byName.get('refused')).toMatchObject({
      version_info: '4',
      xds_config: any(bytesOf('c')),
      error_state: {
        details: 'lb_policy: no',
        version_info: '5',
        last_update_attempt: { seconds: seconds + 1, nanos: 250_000_000 },
        failed_configuration: any(bytesOf('refused-5')),
      },
    });
    expect(byName.get('never-good')).toMatchObject({
      type_url: ROUTE,
      xds_config: null,
      error_state: { details: 'malformed', failed_configuration: any(Uint8Array.of(0xff), ROUTE) },
    });
    expect(byName.get('gone')).toMatchObject({ type_url: LISTENER, error_state: { failed_configuration: null } });
  });

  test('tells of each client of the process by its scope, and of the state at the time of the request', async () => {
    const dumps: ResourcesDump[] = [];
    const client = await serve(() => dumps);
    expect(await fetchStatus(client)).toEqual({ config: [] });
    dumps.push(dump([], 'mesh'), { node: undefined, scope: '#server', resources: [dumped({})] });
    const { config } = await fetchStatus(client);
    expect(config.map((it) => [it.client_scope, it.node?.['id'], it.generic_xds_configs.length])).toEqual([
      ['mesh', 'n1', 0],
      ['#server', undefined, 1],
    ]);
  });

  test('encodes what was embedded as an object', async () => {
    const client = await serve(() => [dump([dumped({ raw: { name: 'c', type: 'EDS' } })])]);
    const { config } = await fetchStatus(client);
    expect(config[0]?.generic_xds_configs[0]?.xds_config).toEqual(any(bytesOf('c')));
  });

  test('leaves out an embedded object that no wire could carry, and tells of all else', async () => {
    const error = { details: 'no such field', version: '', attemptedAt: NOW, raw: { nonsense: 1 } };
    const client = await serve(() => [dump([dumped({ error }), dumped({ name: 'next' })])]);
    const { config } = await fetchStatus(client);
    expect(
      config[0]?.generic_xds_configs.map(({ name, error_state }) => [name, error_state?.failed_configuration]),
    ).toEqual([
      ['c', null],
      ['next', undefined],
    ]);
  });

  test('leaves out contents when it is asked to', async () => {
    const client = await serve(() => [dump(ALL_STATES)]);
    const { config } = await fetchStatus(client, { exclude_resource_contents: true });
    expect(config[0]?.generic_xds_configs).toHaveLength(ALL_STATES.length);
    for (const found of config[0]?.generic_xds_configs ?? []) {
      expect([found.xds_config, found.error_state?.failed_configuration ?? null]).toEqual([null, null]);
    }
  });

  test('answers node matchers with INVALID_ARGUMENT (A40)', async () => {
    const client = await serve(() => [dump([])]);
    const request = { node_matchers: [{ node_id: { exact: 'n1' } }] };
    await expect(fetchStatus(client, request)).rejects.toMatchObject({
      code: grpc.status.INVALID_ARGUMENT,
      details: expect.stringMatching(/node_matchers are not supported/),
    });
  });

  test('turns trouble of its own into INTERNAL', async () => {
    const client = await serve(() => {
      throw new Error('boom');
    });
    await expect(fetchStatus(client)).rejects.toMatchObject({
      code: grpc.status.INTERNAL,
      details: 'client status: failed: boom',
    });
  });

  test('refuses bytes that are no request', async () => {
    const client = await serve(() => []);
    const [{ FetchClientStatus: method }] = csdsService(() => []);
    const garbage = new Promise((resolve, reject) => {
      client.makeUnaryRequest(
        method.path,
        (bytes: Buffer) => bytes,
        (bytes) => bytes,
        Buffer.of(0xff),
        (error, reply) => (error === null ? resolve(reply) : reject(error)),
      );
    });
    await expect(garbage).rejects.toMatchObject({
      code: grpc.status.INTERNAL,
      details: expect.stringMatching(/cannot be coded: malformed envoy.service.status.v3.ClientStatusRequest/),
    });
  });
});

test('whatever bytes a request is made of, it is answered or refused, and never throws', async () => {
  const [, { FetchClientStatus }] = csdsService(() => [dump(ALL_STATES)]);
  const good = Buffer.from(
    (await loadCodec()).encodeMessage('envoy.service.status.v3.ClientStatusRequest', {
      node: { ...NODE, metadata: { fields: { a: { number_value: 1 } } } },
      exclude_resource_contents: true,
    }),
  );
  const mutated = fc.tuple(fc.nat(good.length - 1), fc.nat(255)).map(([at, byte]) => {
    const bytes = Buffer.from(good);
    bytes[at] = byte;
    return bytes;
  });
  const request = fc.oneof(mutated, fc.uint8Array().map(Buffer.from));
  await fc.assert(
    fc.asyncProperty(request, async (bytes) => {
      const code = await new Promise((resolve) =>
        FetchClientStatus({ request: bytes } as grpc.ServerUnaryCall<Buffer, Buffer>, (error) =>
          resolve(error?.code ?? 0),
        ),
      );
      expect([grpc.status.OK, grpc.status.INVALID_ARGUMENT, grpc.status.INTERNAL]).toContain(code);
    }),
  );
});

test('a response made a resource at a time says what one made at once says', async () => {
  const codec = await loadCodec();
  const resources = Array.from({ length: 500 }, (_, i) =>
    dumped({ name: `cluster-${i}`, raw: bytesOf(`cluster-${i}`) }),
  );
  const dumps = [dump([...ALL_STATES, ...resources]), dump([], 'other')];
  const contents = { excludeContents: false };
  const atOnce = codec.encodeMessage('envoy.service.status.v3.ClientStatusResponse', {
    config: dumps.map((it) => ({
      ...clientConfig(it),
      generic_xds_configs: it.resources.map((resource) => genericXdsConfig(codec, resource, contents)),
    })),
  });
  const parts = await encodeClientStatus(codec, dumps, contents, new Slices(systemClock, 0));
  // Fields come in another order: client_scope before generic_xds_configs. Read, they are the same.
  const read = (bytes: Uint8Array) =>
    codec.decodeMessage('envoy.service.status.v3.ClientStatusResponse', bytes, { rawAny: true });
  expect(parts.length).toBe(atOnce.length);
  expect(read(parts)).toEqual(read(atOnce));
});

describe('StreamClientStatus', () => {
  test('answers each request in order, and ends when the client does', async () => {
    let asked = 0;
    const client = await serve(() => [dump([], `answer ${++asked}`)]);
    const stream = client.StreamClientStatus();
    for (let i = 0; i < 3; i++) stream.write({});
    stream.end();
    const scopes: unknown[] = [];
    for await (const response of stream) scopes.push((response as ClientStatusResponse).config[0]?.client_scope);
    expect(scopes).toEqual(['answer 1', 'answer 2', 'answer 3']);
  });

  test('ends with INVALID_ARGUMENT at a node matcher', async () => {
    const client = await serve(() => [dump([])]);
    const stream = client.StreamClientStatus();
    const ended = new Promise<grpc.StatusObject>((resolve) => stream.once('status', resolve));
    const failed = new Promise<Error>((resolve) => stream.once('error', resolve));
    stream.on('data', () => {});
    stream.write({});
    stream.write({ node_matchers: [{}] });
    expect(await ended).toMatchObject({ code: grpc.status.INVALID_ARGUMENT });
    expect(await failed).toMatchObject({ code: grpc.status.INVALID_ARGUMENT });
  });

  test('that the client leaves in the middle of an answer disturbs nobody', async () => {
    const client = await serve(() => [dump(ALL_STATES)]);
    const stream = client.StreamClientStatus();
    stream.on('error', () => {});
    const first = new Promise<void>((resolve) => stream.once('data', () => resolve()));
    stream.write({});
    await first;
    stream.write({});
    stream.cancel();
    expect((await fetchStatus(client)).config).toHaveLength(1);
  });
});
