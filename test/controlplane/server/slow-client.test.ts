import { type ClientHttp2Stream, connect } from 'node:http2';
import { afterEach, describe, expect, test } from 'vitest';
import { AdsServer } from '../../../src/controlplane/server/ads-server.js';
import { buildSnapshot, type Snapshot } from '../../../src/controlplane/snapshot/snapshot.js';
import { systemClock } from '../../../src/core/clock.js';
import { type Logger, silentLogger } from '../../../src/core/log.js';
import { CLUSTER, ENDPOINT, type Resource, RESOURCE_TYPES } from '../../../src/core/resources.js';
import { discoveryMethods, loadCodec } from '../../../src/xds/wire/index.js';
import { edsCluster, endpoints, resourceSet } from '../../support/mesh-resources.js';

const codec = await loadCodec();
const { stream: sotw, delta } = discoveryMethods(codec, undefined);
const WAIT = { timeout: 15_000, interval: 5 };

const closers: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

/** More clusters than fit into the window that HTTP/2 gives a stream at first (65,535 bytes), and one endpoint of `c0`, at `port`. */
function manyClusters(port: number): Snapshot {
  const shared = { eds_cluster_config: { eds_config: { ads: {} }, service_name: 'c0' } };
  const clusters = Array.from({ length: 3_000 }, (_, i) => edsCluster(`c${i}`, shared));
  const set = resourceSet({ clusters, endpoints: [endpoints('c0', port)] });
  return buildSnapshot(set, (type, resource) => codec.encodeResource(type, resource));
}

/** Counts lines by message; the requests are those that the server has handled. */
class Ledger implements Logger {
  readonly lines = new Map<string, number>();
  requests = 0;
  get responses(): number {
    return this.lines.get('response sent') ?? 0;
  }
  debug(message: string): void {
    this.lines.set(message, (this.lines.get(message) ?? 0) + 1);
    if (message.startsWith('client request')) this.requests++;
  }
  info = silentLogger.info;
  warn = silentLogger.warn;
  error = silentLogger.error;
}

/** A client on bare HTTP/2 that reads nothing until it is told to. */
class BareClient {
  readonly #stream: ClientHttp2Stream;

  constructor(
    port: number,
    private readonly method: typeof sotw | typeof delta,
  ) {
    const session = connect(`http://127.0.0.1:${port}`);
    closers.push(() => session.destroy());
    session.on('error', () => {});
    this.#stream = session.request({
      ':method': 'POST',
      ':path': method.path,
      'content-type': 'application/grpc',
      te: 'trailers',
    });
    this.#stream.on('error', () => {});
    this.#stream.pause();
  }

  send(request: Resource): void {
    const message = (this.method.requestSerialize as (it: Resource) => Buffer)(request);
    const head = Buffer.alloc(5);
    head.writeUInt32BE(message.length, 1);
    this.#stream.write(Buffer.concat([head, message]));
  }

  /** Reads on, and calls for every whole message. */
  read(each: (response: Resource) => void): void {
    let rest = Buffer.alloc(0);
    this.#stream.on('data', (chunk: Buffer) => {
      rest = Buffer.concat([rest, chunk]);
      while (rest.length >= 5 && rest.length >= 5 + rest.readUInt32BE(1)) {
        const end = 5 + rest.readUInt32BE(1);
        each(this.method.responseDeserialize(rest.subarray(5, end)) as unknown as Resource);
        rest = rest.subarray(end);
      }
    });
    this.#stream.resume();
  }
}

async function serve(method: typeof sotw | typeof delta) {
  const ledger = new Ledger();
  const server = new AdsServer({ codec, clock: systemClock, logger: ledger, identifier: 'inmesh' });
  closers.push(() => server.close());
  server.publish(manyClusters(1));
  const client = new BareClient(await server.listen({ host: '127.0.0.1', port: 0 }), method);
  return { server, ledger, client };
}

const VARIANTS = [
  ['state of the world', sotw, (names: string[]) => ({ resource_names: names })],
  ['incremental', delta, (names: string[]) => ({ resource_names_subscribe: names })],
] as const;

describe.each(VARIANTS)('a client that does not read (%s)', (_, method, names) => {
  test('has one response at a time, however often it asks and whatever it guesses that it acknowledges', async () => {
    const { ledger, client } = await serve(method);
    client.send({ type_url: CLUSTER, ...names(['*']) });
    await expect.poll(() => ledger.responses, WAIT).toBe(1);
    const rounds = 100;
    for (let i = 1; i <= rounds; i++) {
      for (const type of RESOURCE_TYPES) {
        const wanted = i % 2 === 0 ? [] : ['*', 'c0'];
        client.send({ type_url: type, response_nonce: String(i), ...names(wanted) });
      }
    }
    await expect.poll(() => ledger.requests, WAIT).toBe(1 + rounds * RESOURCE_TYPES.length);
    expect(ledger.responses).toBe(1);
  });

  test('gets the newest configuration, and nothing from between, when it reads on', async () => {
    const { server, ledger, client } = await serve(method);
    client.send({ type_url: CLUSTER, ...names(['*']) });
    client.send({ type_url: ENDPOINT, ...names(['c0']) });
    await expect.poll(() => ledger.requests, WAIT).toBe(2);
    for (const port of [2, 3, 4]) server.publish(manyClusters(port));
    const got: Resource[] = [];
    client.read((response) => got.push(response));
    await expect.poll(() => got.length, WAIT).toBe(2);
    expect(got.map((response) => response['type_url'])).toEqual([CLUSTER, ENDPOINT]);
    const version = manyClusters(4).types[ENDPOINT].version;
    expect(got[1]?.[method === sotw ? 'version_info' : 'system_version_info']).toBe(version);
    expect(ledger.responses).toBe(2);
  });
});
